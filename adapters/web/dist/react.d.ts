import { ParlourError, Room, type Connection, type JoinOptions, type MicrophoneOptions, type Participant } from "./index.js";
/** What {@link useRoom} gives. */
export interface UseRoom {
    /** The room, once it is joined. */
    readonly room: Room | null;
    readonly connection: Connection | null;
    /** Whether a join is under way. */
    readonly joining: boolean;
    /** Why joining failed, or the room was closed. */
    readonly error: ParlourError | null;
    /** Joins: call it in a click, so that sound may play. While a join is under way, another call is the same one. */
    join(ticket: string, options?: JoinOptions): Promise<void>;
    /** Leaves, or gives up a join. */
    leave(): Promise<void>;
}
/** One room for as long as the component is there. */
export declare function useRoom(): UseRoom;
/** Those in the room, in the order of their ids; the component renders anew when they change. */
export declare function useParticipants(room: Room | null): readonly Participant[];
/** What {@link useMicrophone} gives. */
export interface UseMicrophone {
    readonly on: boolean;
    readonly muted: boolean;
    readonly error: ParlourError | null;
    start(options?: MicrophoneOptions): Promise<void>;
    setMuted(muted: boolean): Promise<void>;
    stop(): Promise<void>;
}
/** The room's microphone: the same in all components, and on for as long as the room has it. */
export declare function useMicrophone(room: Room | null): UseMicrophone;
