/** How to capture and send. */
export interface MicrophoneOptions {
    /** The id of a device of `devices().microphones`; without, the one that the system prefers. */
    deviceId?: string;
    /** Removes what the speakers play. On by default. */
    echoCancellation?: boolean;
    /** On by default. */
    noiseSuppression?: boolean;
    /** On by default. */
    autoGainControl?: boolean;
    /** Begin silenced. Off by default. */
    muted?: boolean;
    /** Bits per second, 32,000 by default: enough for voices. It falls when packets get lost. */
    bitrate?: number;
    /** Sends nothing while nobody speaks. On by default. */
    dtx?: boolean;
}
/** The page's microphone, in the room. Made by {@link Room.microphone}. */
export declare class Microphone {
    #private;
    private constructor();
    /** Whether it is silenced by {@link setMuted}. */
    get muted(): boolean;
    /** The captured track, for a picture of its waves; it belongs to this microphone. */
    get track(): MediaStreamTrack | undefined;
    /** The id of the device in use. */
    get deviceId(): string | undefined;
    /** Silences it, or lets it be heard again. Nothing is captured while it is silenced. */
    setMuted(muted: boolean): Promise<void>;
    /** Goes on with another device. If that fails, the one before stays. */
    setDevice(deviceId: string): Promise<void>;
    /** Turns it off, and ends its stream. */
    stop(): Promise<void>;
}
