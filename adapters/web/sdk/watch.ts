import type { PlainError } from "./errors.js";
import { Emitter, type Unsubscribe } from "./events.js";
import type { Seen } from "./projector.js";
import type { StreamName } from "./types.js";

/** The events of a {@link Watch}: the name of each, and what its listeners get. */
export interface WatchEvents {
  /** The first picture is on the canvas. */
  firstPicture: { readonly width: number; readonly height: number };
  /** The picture has another size than the one before. */
  sizeChanged: { readonly width: number; readonly height: number };
  /** No picture has come for a second (of a screen, for three), though there should: the last one stays. */
  frozen: object;
  /** Pictures come again. */
  resumed: object;
  /** It cannot be shown, and why. */
  failed: { readonly error: PlainError };
}

/** What a watch needs of its room. @internal */
export interface WatchWire {
  shown(isShown: boolean): void;
  /** Whether pictures have to come now: not while muted, or without a connection. */
  isLive(): boolean;
  stop(): void;
}

/** For so long a canvas that cannot be seen is still drawn on, in ms: who scrolls may come back. */
const PATIENCE_MS = 1_000;

/**
 * A stream of pictures that is watched. Made by {@link Room.watch}.
 *
 * It comes and is decoded only while its canvas can be seen: not in a hidden page, scrolled away, or with `display: none`.
 */
export class Watch {
  /** Where it is drawn. Put it into the page, and give it a size by CSS; its own size is that of the picture. */
  readonly canvas: HTMLCanvasElement;
  readonly stream: StreamName;
  readonly #wire: WatchWire;
  readonly #emitter = new Emitter<WatchEvents>();
  readonly #observer: IntersectionObserver;
  #seen: Seen = { width: 0, height: 0, isFrozen: false };
  #isFrozen = false;
  #isInView = false;
  #isShown = false;
  #hiding: ReturnType<typeof setTimeout> | undefined;

  /** @internal */
  constructor(stream: StreamName, canvas: HTMLCanvasElement, wire: WatchWire) {
    this.stream = stream;
    this.canvas = canvas;
    this.#wire = wire;
    this.#observer = new IntersectionObserver((entries) => {
      this.#isInView = entries.at(-1)?.isIntersecting ?? false;
      this.#look();
    }, { rootMargin: "64px" });
    this.#observer.observe(canvas);
    document.addEventListener("visibilitychange", this.#look);
  }

  /** Of the picture, in pixels; 0 before the first. */
  get width(): number {
    return this.#seen.width;
  }

  /** Of the picture, in pixels; 0 before the first. */
  get height(): number {
    return this.#seen.height;
  }

  /** Whether pictures should come, and do not. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Listens to an event. The result ends that. */
  on<Name extends keyof WatchEvents>(name: Name, listener: (event: WatchEvents[Name]) => void): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  /** Ends it, and takes its canvas out of the page. */
  stop(): void {
    clearTimeout(this.#hiding);
    this.#observer.disconnect();
    document.removeEventListener("visibilitychange", this.#look);
    this.canvas.remove();
    this.#wire.stop();
  }

  /** What the worker has drawn. @internal */
  see(seen: Seen): void {
    const { width, height } = this.#seen;
    this.#seen = seen;
    if (width === 0) this.#emitter.emit("firstPicture", { width: seen.width, height: seen.height });
    else if (width !== seen.width || height !== seen.height) this.#emitter.emit("sizeChanged", { width: seen.width, height: seen.height });
    const isFrozen = seen.isFrozen && this.#wire.isLive();
    if (isFrozen === this.#isFrozen) return;
    this.#isFrozen = isFrozen;
    this.#emitter.emit(isFrozen ? "frozen" : "resumed", {});
  }

  /** It cannot be shown. @internal */
  fail(error: PlainError): void {
    this.#emitter.emit("failed", { error });
  }

  readonly #look = () => {
    const isShown = this.#isInView && document.visibilityState === "visible";
    clearTimeout(this.#hiding);
    if (isShown === this.#isShown) return;
    const change = () => {
      this.#isShown = isShown;
      this.#wire.shown(isShown);
    };
    if (isShown) change();
    else this.#hiding = setTimeout(change, PATIENCE_MS);
  };
}
