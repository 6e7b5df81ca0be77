/** How to share a screen. */
export interface ScreenOptions {
    /** Pixels at most, 1920 × 1080 by default; what is larger is made smaller. */
    width?: number;
    height?: number;
    /** Pictures a second at most, 10 by default. */
    frameRate?: number;
    /** Bits per second, 2,000,000 by default. */
    bitrate?: number;
}
/** What the page shares of the user's screen. Made by {@link Room.screen}. */
export declare class Screen {
    #private;
    private constructor();
    /** What is shared, for the user's own view. */
    get stream(): MediaStream;
    /** Ends it. The user can do so, too, by the browser. */
    stop(): Promise<void>;
}
