/** How to capture and send a camera. */
export interface CameraOptions {
    /** The id of a device of `devices().cameras`; without, the one that the system prefers. */
    deviceId?: string;
    /** Pixels, 1280 × 720 by default. A camera that has no such picture gives the nearest. */
    width?: number;
    height?: number;
    /** Pictures a second at most, 30 by default. */
    frameRate?: number;
    /** Bits per second: 1,500,000 by default, and 700,000 up to 640 × 360. */
    bitrate?: number;
    /** Begin turned off: the browser asks the user only when it is turned on. Off by default. */
    muted?: boolean;
}
/** The page's camera, in the room. Made by {@link Room.camera}. */
export declare class Camera {
    #private;
    private constructor();
    /** Whether it is turned off by {@link setMuted}. */
    get muted(): boolean;
    /** What it captures, for the user's own view: `video.srcObject = camera.stream`. It stays the same, and is empty while muted. */
    get stream(): MediaStream;
    /** The captured track; it belongs to this camera. `undefined` while muted. */
    get track(): MediaStreamTrack | undefined;
    /** The id of the device in use. */
    get deviceId(): string | undefined;
    /** Turns the device itself off, with its light, or on again. */
    setMuted(muted: boolean): Promise<void>;
    /** Goes on with another device. If that fails, the one before stays. */
    setDevice(deviceId: string): Promise<void>;
    /** Turns it off, and ends its stream. */
    stop(): Promise<void>;
}
