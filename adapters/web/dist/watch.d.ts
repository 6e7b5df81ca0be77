import type { PlainError } from "./errors.js";
import { type Unsubscribe } from "./events.js";
import type { StreamName } from "./types.js";
/** The events of a {@link Watch}: the name of each, and what its listeners get. */
export interface WatchEvents {
    /** The first picture is on the canvas. */
    firstPicture: {
        readonly width: number;
        readonly height: number;
    };
    /** The picture has another size than the one before. */
    sizeChanged: {
        readonly width: number;
        readonly height: number;
    };
    /** No picture has come for a second (of a screen, for three), though there should: the last one stays. */
    frozen: object;
    /** Pictures come again. */
    resumed: object;
    /** It cannot be shown, and why. */
    failed: {
        readonly error: PlainError;
    };
}
/**
 * A stream of pictures that is watched. Made by {@link Room.watch}.
 *
 * It comes and is decoded only while its canvas can be seen: not in a hidden page, scrolled away, or with `display: none`.
 */
export declare class Watch {
    #private;
    /** Where it is drawn. Put it into the page, and give it a size by CSS; its own size is that of the picture. */
    readonly canvas: HTMLCanvasElement;
    readonly stream: StreamName;
    /** Of the picture, in pixels; 0 before the first. */
    get width(): number;
    /** Of the picture, in pixels; 0 before the first. */
    get height(): number;
    /** Whether pictures should come, and do not. */
    get isFrozen(): boolean;
    /** Listens to an event. The result ends that. */
    on<Name extends keyof WatchEvents>(name: Name, listener: (event: WatchEvents[Name]) => void): Unsubscribe;
    /** Ends it, and takes its canvas out of the page. */
    stop(): void;
}
