import type { Camera, CameraOptions } from "./camera.js";
import { type RoomEvents, type Unsubscribe } from "./events.js";
import { type JoinOptions } from "./join.js";
import { Microphone, type MicrophoneOptions } from "./microphone.js";
import { type CarriageName, type Connection, type Grant, type Participant, type Policy, type Statistics, type StreamName, type Waiting } from "./types.js";
import type { Screen, ScreenOptions } from "./screen.js";
import type { Watch } from "./watch.js";
/** A room, and this page as one of its participants. */
export declare class Room {
    #private;
    private constructor();
    /**
     * Joins the room of a ticket. Call it in a click or key press: then sound may play at once; otherwise see
     * {@link needsGesture}.
     *
     * It resolves when the participant is in the room and knows who is there, or waits in the lobby ({@link connection}).
     *
     * @throws {@link ParlourError}: the ticket or an option is none, the server cannot be reached, or it refuses, and why.
     */
    static join(ticket: string, options?: JoinOptions): Promise<Room>;
    /** How this page is connected with the room. */
    get connection(): Connection;
    /** The id of this page's participant; `null` in the lobby. */
    get me(): string | null;
    /** What this participant may do. */
    get grants(): readonly Grant[];
    /** Those in the room by their ids, this page among them. A new map after each change. */
    get participants(): ReadonlyMap<string, Participant>;
    /** How many are in the room; of a very large one not all are in {@link participants}. */
    get count(): number;
    /** The participant that is loudest now. */
    get activeSpeaker(): Participant | null;
    /** The participant that shares its screen; of several, the one that began last. */
    get presenter(): Participant | null;
    /** Those who speak now. */
    get speakers(): readonly Participant[];
    /** The participant to show large: pinned, or presenting, or the active speaker. */
    get main(): Participant | null;
    /** The participant that holds the floor, in rooms that use it. */
    get floor(): Participant | null;
    /** Whether the session is recorded. Tell it to the user: in many places the law has you do so. */
    get isRecorded(): boolean;
    /** Those who wait in the lobby, if this participant may admit them. */
    get lobby(): readonly Waiting[];
    /** How many wait in the lobby; not all of them may be in {@link lobby}. */
    get waiting(): number;
    /** The id of the session, as the server's API and its webhooks name it; `null` before the first join. */
    get session(): string | null;
    /** How datagrams travel now. */
    get carriage(): CarriageName | null;
    /**
     * Whether the browser lets sound play only after a gesture of the user. Any click or key press on the page then unlocks it;
     * show a hint, or call {@link resumeAudio} in one.
     */
    get needsGesture(): boolean;
    /** Listens to an event. The result ends that. */
    on<Name extends keyof RoomEvents>(name: Name, listener: (event: RoomEvents[Name]) => void): Unsubscribe;
    /**
     * Turns the microphone on and publishes it. The browser asks the user at the first time. A room has one microphone: if it is on
     * already, it stops, and this one takes its place.
     *
     * @throws {@link ParlourError} with `microphoneDenied`, `microphoneMissing`, `microphoneBusy`, or the server's refusal.
     */
    microphone(options?: MicrophoneOptions): Promise<Microphone>;
    /** The microphone that is on. */
    get currentMicrophone(): Microphone | null;
    /** Lets sound play; works in a gesture of the user. */
    resumeAudio(): Promise<void>;
    /** Plays by another speaker, of `devices().speakers`; the system's preferred one is `""`. */
    setSpeaker(deviceId: string): Promise<void>;
    /** Hears a stream, whatever the policy. */
    subscribe(stream: StreamName): Promise<void>;
    /** Does not hear a stream, whatever the policy: silences it for this page alone. */
    unsubscribe(stream: StreamName): Promise<void>;
    /** Says which streams to hear without asking for each. */
    setPolicy(policy: Policy): Promise<void>;
    /** Keeps a place for a stream whoever else talks; `null` ends that. */
    pin(stream: StreamName | null): Promise<void>;
    /**
     * Turns the camera on and publishes it. The browser asks the user at the first time. A room has one camera: if it is on already,
     * it stops, and this one takes its place.
     *
     * @throws {@link ParlourError} with `cameraDenied`, `cameraMissing`, `cameraBusy`, `encoderMissing`, or the server's refusal.
     */
    camera(options?: CameraOptions): Promise<Camera>;
    /** The camera that is on, or muted. */
    get currentCamera(): Camera | null;
    /**
     * Shares a screen, a window or a tab, as the browser has the user choose: call it in a click or key press. It ends by
     * {@link Screen.stop}, or when the user ends it by the browser; the event `screenChanged` says so.
     *
     * @throws {@link ParlourError} with `screenDenied`, `screenFailed`, `encoderMissing`, or the server's refusal.
     */
    screen(options?: ScreenOptions): Promise<Screen>;
    /** What is shared now. */
    get currentScreen(): Screen | null;
    /**
     * Watches a stream of another participant: put the result's `canvas` into the page. It comes while the canvas can be seen, and
     * again if it ends and is published anew.
     */
    watch(stream: StreamName): Watch;
    /**
     * Sends a message to those named, or to all others. At most 640 bytes.
     *
     * @returns How many it was sent to; 0 for one that may get lost (`reliable: false`).
     */
    send(topic: string, body: string | Uint8Array, options?: {
        to?: readonly string[];
        reliable?: boolean;
    }): Promise<number>;
    /** Gives an attribute a value of at most 64 bytes; an empty one removes it. Another's takes the grant `setAttributes`. */
    setAttribute(key: string, value: string, participant?: string): Promise<void>;
    /** Asks for the right to speak, in rooms that use it. */
    requestFloor(): Promise<void>;
    /** Gives it back. */
    releaseFloor(): Promise<void>;
    /** Removes participants from the session. @returns How many. */
    kick(...participants: string[]): Promise<number>;
    /** Silences participants. @returns How many. */
    censor(...participants: string[]): Promise<number>;
    /** Lifts the silence. @returns How many. */
    uncensor(...participants: string[]): Promise<number>;
    /** Lets participants in from the lobby. @returns How many. */
    admit(...participants: string[]): Promise<number>;
    /** Turns participants away from the lobby. @returns How many. */
    deny(...participants: string[]): Promise<number>;
    /** Ends the session for everybody. */
    endSession(): Promise<void>;
    /** Replaces the token by a newer one for the same participant and room. */
    refreshToken(token: string): Promise<void>;
    /** Figures about the connection. */
    statistics(): Promise<Statistics>;
    /** Leaves the room. It resolves when the server knows, or after a second. */
    leave(): Promise<void>;
}
