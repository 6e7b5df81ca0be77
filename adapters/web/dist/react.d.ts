import { ParlourError, Room, type CameraOptions, type Connection, type JoinOptions, type MicrophoneOptions, type Participant } from "./index.js";
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
export interface UseMicrophone extends UseSource<MicrophoneOptions> {
}
/** What {@link useCamera} gives. */
export interface UseCamera extends UseSource<CameraOptions> {
    /** For the user's own view: `ref={(video) => { if (video) video.srcObject = camera.stream; }}`. */
    readonly stream: MediaStream | null;
}
/** A microphone or camera in a component. */
export interface UseSource<Options> {
    readonly on: boolean;
    readonly muted: boolean;
    readonly error: ParlourError | null;
    start(options?: Options): Promise<void>;
    setMuted(muted: boolean): Promise<void>;
    stop(): Promise<void>;
}
/** The room's microphone: the same in all components, and on for as long as the room has it. */
export declare function useMicrophone(room: Room | null): UseMicrophone;
/** The room's camera: the same in all components, and on for as long as the room has it. */
export declare function useCamera(room: Room | null): UseCamera;
/** The picture of a stream in an element, for as long as that is there: `<div ref={usePicture(room, "anna", "camera")} />`. */
export declare function usePicture(room: Room | null, participant: string, key: string): (place: HTMLElement | null) => void;
