/** One watched stream of pictures in the worker: decoded, and drawn on the page's canvases. */
import { codecOf } from "./codecs.js";
import { ParlourError } from "./errors.js";

/** A decoder that is so far behind leaves out what no other picture needs; and further behind, all until a key picture. */
const LATE = 3, TOO_LATE = 30;
/** How often a decoder that fails is started anew, until a picture comes of it. */
const MAX_FAILURES = 5;
/** A picture that has not come for so long is frozen, in ms: of a camera, and of a screen, which is sent each second at least. */
const FROZEN = { video: 1_000, screen: 3_000 } as const;

/** A picture as it has come. @internal */
export interface ArrivedPicture {
  readonly codec: string;
  readonly isKey: boolean;
  readonly isDiscardable: boolean;
  /** When it was taken, µs. */
  readonly timestamp: number;
  readonly bytes: Uint8Array;
}

/** What is seen of a stream. @internal */
export interface Seen {
  /** Of the picture; 0 before the first. */
  readonly width: number;
  readonly height: number;
  readonly isFrozen: boolean;
}

/** What a projector tells. @internal */
export interface Audience {
  seen(seen: Seen): void;
  /** A key picture is needed to go on. */
  lost(): void;
  failed(error: ParlourError): void;
}

/** @internal */
export class Projector {
  readonly #audience: Audience;
  #patience: number;
  readonly #canvases = new Map<number, { readonly canvas: OffscreenCanvas; readonly context: OffscreenCanvasRenderingContext2D | null }>();
  #decoder: VideoDecoder | undefined;
  #codec = "";
  #needsKey = true;
  #failures = 0;
  #failure: ParlourError | undefined;
  #shownAt = 0;
  #seen: Seen = { width: 0, height: 0, isFrozen: false };

  constructor(kind: "video" | "screen", audience: Audience) {
    this.#audience = audience;
    this.#patience = FROZEN[kind];
  }

  /** Why it cannot be shown, if it cannot. */
  get failure(): ParlourError | undefined {
    return this.#failure;
  }

  /** The stream is published anew, and may be another kind of one. */
  renew(kind: "video" | "screen"): void {
    this.pause();
    this.#patience = FROZEN[kind];
    this.#failures = 0;
    this.#failure = undefined;
  }

  /** Pictures are due from now on: none was missed before. */
  expect(now: number): void {
    this.#shownAt = now;
    if (this.#seen.isFrozen) this.#tell({ ...this.#seen, isFrozen: false });
  }

  /** Draws on this canvas, too. */
  add(id: number, canvas: OffscreenCanvas): void {
    // Once: Firefox minds being asked for it at every picture.
    this.#canvases.set(id, { canvas, context: canvas.getContext("2d", { alpha: false }) });
    if (this.#seen.width) this.#audience.seen(this.#seen);
  }

  /** Draws on it no longer. True if there is no other one. */
  remove(id: number): boolean {
    this.#canvases.delete(id);
    return this.#canvases.size === 0;
  }

  take(picture: ArrivedPicture): void {
    if (this.#failure) return;
    try {
      if (picture.isKey) this.#begin(picture);
      if (!this.#decoder || this.#needsKey) return;
      const waiting = this.#decoder.decodeQueueSize;
      if (waiting > LATE && picture.isDiscardable) return;
      if (waiting > TOO_LATE && !picture.isKey) return this.#restart();
      const { timestamp, bytes: data } = picture;
      this.#decoder.decode(new EncodedVideoChunk({ type: picture.isKey ? "key" : "delta", timestamp, data }));
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Says so if nothing has come for too long. */
  look(now: number): void {
    const isFrozen = now - this.#shownAt > this.#patience;
    if (this.#seen.width && isFrozen && !this.#seen.isFrozen) this.#tell({ ...this.#seen, isFrozen });
  }

  /** Decodes nothing any more, until the next key picture. */
  pause(): void {
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = undefined;
    this.#needsKey = true;
  }

  #begin({ codec, bytes }: ArrivedPicture): void {
    const found = "VideoDecoder" in globalThis ? codecOf(codec, bytes) : undefined;
    if (found === undefined) throw mismatch(codec);
    if (!this.#decoder || found !== this.#codec) {
      this.pause();
      this.#decoder = new VideoDecoder({
        output: (frame) => this.#draw(frame),
        error: (cause) => this.#fail(cause.name === "NotSupportedError" ? mismatch(codec) : cause),
      });
      this.#decoder.configure({ codec: found, optimizeForLatency: true });
      this.#codec = found;
    }
    this.#needsKey = false;
  }

  #draw(frame: VideoFrame): void {
    const { displayWidth: width, displayHeight: height } = frame;
    for (const { canvas, context } of this.#canvases.values()) {
      // A new size empties a canvas.
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      context?.drawImage(frame, 0, 0);
    }
    frame.close();
    this.#failures = 0;
    this.#shownAt = performance.now();
    const { width: before, height: high, isFrozen } = this.#seen;
    if (before !== width || high !== height || isFrozen) this.#tell({ width, height, isFrozen: false });
  }

  #tell(seen: Seen): void {
    this.#seen = seen;
    this.#audience.seen(seen);
  }

  #restart(): void {
    this.pause();
    this.#audience.lost();
  }

  #fail(cause: unknown): void {
    if (this.#failure) return;
    const isFinal = cause instanceof ParlourError || ++this.#failures > MAX_FAILURES;
    if (!isFinal) return this.#restart();
    this.pause();
    const message = "this browser has failed to decode the picture: reload the page";
    this.#failure = cause instanceof ParlourError ? cause : new ParlourError("decoderFailed", message, cause);
    this.#audience.failed(this.#failure);
  }
}

const mismatch = (codec: string) => (
  new ParlourError("codecMismatch", `this browser cannot show pictures of the codec ${codec}: use a current Chrome, Edge or Safari`)
);
