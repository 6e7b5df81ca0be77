/** One published stream of pictures in the worker: frames are encoded, and given to the participant. */
import { configurationOf, type Encoding, type PictureSettings } from "./codecs.js";
import { ParlourError } from "./errors.js";
import { read, type FrameSource } from "./frames.js";

/** More pictures than these do not wait for the encoder: the newest matters. */
const MAX_ENCODING = 2;
/** A screen on which nothing changes is sent anew after so long, in ms: sharper, and for those who came in the meantime. */
const STILL = 1_000, STILL_LOOK = 100;
/** How often an encoder that fails is started anew, until a picture comes of it. */
const MAX_FAILURES = 3;
/** The encoder is set to another rate if that differs by so much, and not more often than this, in ms. */
const RATE_STEP = 0.1, RATE_INTERVAL = 500;

/** One encoded picture. @internal */
export interface EncodedPicture {
  readonly bytes: Uint8Array;
  /** In units of 1/90,000 s, modulo 2^32. */
  readonly timestamp: number;
  readonly temporalLayer: number;
  readonly discardable: boolean;
}

/** Where the pictures go. @internal */
export interface PictureSink {
  send(picture: EncodedPicture): void;
  /** Whether the next picture has to be a key picture; asked once. */
  takeKeyWanted(): boolean;
  /** How much to encode, in bits per second: less than was set, if the network carries less. */
  wantedRate(): number;
  /** Whether too many pictures wait to be sent. */
  isBusy(): boolean;
  failed(error: ParlourError): void;
}

/** @internal */
export class Film {
  readonly #encoding: Encoding;
  readonly #settings: Omit<PictureSettings, "width" | "height">;
  readonly #sink: PictureSink;
  #encoder: VideoEncoder | undefined;
  #size = { width: 0, height: 0 };
  #bitrate = 0;
  #bitrateSince = 0;
  #end: (() => void) | undefined;
  /** What has to be added to the timestamps of this source, µs. */
  #offset: number | undefined;
  #last = 0;
  #isKeyDue = false;
  #failures = 0;
  #hasFailed = false;
  /** The last picture of a screen, and since when it is still. */
  #still: VideoFrame | undefined;
  #stillSince = 0;
  /** It was not encoded when it came. */
  #isStillDue = false;
  #look: ReturnType<typeof setInterval> | undefined;

  constructor(encoding: Encoding, settings: Omit<PictureSettings, "width" | "height">, sink: PictureSink) {
    this.#encoding = encoding;
    this.#settings = settings;
    this.#sink = sink;
  }

  /** Encodes the pictures of this source from now on; of none, while it is muted. */
  show(source: FrameSource | null): void {
    this.#end?.();
    this.#end = undefined;
    this.#forget();
    this.#offset = undefined;
    if (!source) return this.#closeEncoder();
    this.#end = read(source, (frame) => this.#take(frame));
    if (this.#settings.isText) this.#look = setInterval(() => this.#again(), STILL_LOOK);
  }

  close(): void {
    this.show(null);
  }

  #take(frame: VideoFrame): void {
    const now = performance.now();
    this.#offset ??= Math.max(now * 1_000, this.#last + 1_000) - frame.timestamp;
    const timestamp = frame.timestamp + this.#offset;
    const isEncoded = this.#encode(frame, timestamp);
    if (!this.#settings.isText) return frame.close();
    this.#still?.close();
    this.#still = frame;
    this.#stillSince = now;
    this.#isStillDue = !isEncoded;
  }

  /** Sends the last picture of a screen again, if nothing has changed for long or somebody has to begin with it. */
  #again(): void {
    const now = performance.now(), since = now - this.#stillSince;
    if (!this.#still || since < STILL_LOOK) return;
    this.#isKeyDue ||= this.#sink.takeKeyWanted();
    if (since < STILL && !this.#isKeyDue && !this.#isStillDue) return;
    if (!this.#encode(this.#still, now * 1_000)) return;
    this.#stillSince = now;
    this.#isStillDue = false;
  }

  /** False: the picture is left out, as those before it have not left yet. */
  #encode(frame: VideoFrame, timestamp: number): boolean {
    this.#isKeyDue ||= this.#sink.takeKeyWanted();
    if (timestamp <= this.#last) return false;
    if ((this.#encoder?.encodeQueueSize ?? 0) >= MAX_ENCODING || this.#sink.isBusy()) return false;
    try {
      const encoder = this.#configured(frame), keyFrame = this.#isKeyDue;
      const stamped = new VideoFrame(frame, { timestamp: Math.round(timestamp) });
      try {
        encoder.encode(stamped, { keyFrame });
      } finally {
        stamped.close();
      }
      this.#last = timestamp;
      this.#isKeyDue = false;
      return true;
    } catch (cause) {
      this.#fail(cause);
      return false;
    }
  }

  /** The encoder, for pictures as large as this one. */
  #configured({ displayWidth, displayHeight }: VideoFrame): VideoEncoder {
    // Both codecs halve colours.
    const width = displayWidth & ~1, height = displayHeight & ~1;
    const isSame = width === this.#size.width && height === this.#size.height;
    const bitrate = this.#rate();
    if (this.#encoder && isSame && bitrate === this.#bitrate) return this.#encoder;
    if (!this.#encoder) {
      this.#encoder = new VideoEncoder({
        output: (chunk, metadata) => this.#encoded(chunk, metadata),
        error: (cause) => this.#fail(cause),
      });
    }
    this.#encoder.configure(configurationOf(this.#encoding, { ...this.#settings, width, height, bitrate }));
    this.#size = { width, height };
    this.#bitrate = bitrate;
    this.#bitrateSince = performance.now();
    return this.#encoder;
  }

  /** How much to encode: what it is now, if little has changed or it has just been changed. */
  #rate(): number {
    const wanted = this.#sink.wantedRate(), differs = Math.abs(wanted - this.#bitrate);
    const isSettled = performance.now() - this.#bitrateSince < RATE_INTERVAL || differs < this.#bitrate * RATE_STEP;
    return this.#encoder && isSettled ? this.#bitrate : wanted;
  }

  #encoded(chunk: EncodedVideoChunk, metadata: EncodedVideoChunkMetadata | undefined): void {
    const bytes = new Uint8Array(chunk.byteLength);
    chunk.copyTo(bytes);
    const temporalLayer = (metadata as { svc?: { temporalLayerId?: number } } | undefined)?.svc?.temporalLayerId ?? 0;
    const discardable = this.#encoding.isLayered && temporalLayer === 2;
    this.#failures = 0;
    const timestamp = Math.round(chunk.timestamp * 0.09) % 2 ** 32;
    this.#sink.send({ bytes, timestamp, temporalLayer, discardable });
  }

  #fail(cause: unknown): void {
    this.#closeEncoder();
    if (this.#hasFailed || ++this.#failures <= MAX_FAILURES) return;
    this.#hasFailed = true;
    this.show(null);
    this.#sink.failed(new ParlourError("encoderFailed", "this browser has failed to encode the picture: try again, with a smaller one", cause));
  }

  #closeEncoder(): void {
    if (this.#encoder?.state !== "closed") this.#encoder?.close();
    this.#encoder = undefined;
    this.#size = { width: 0, height: 0 };
  }

  #forget(): void {
    clearInterval(this.#look);
    this.#look = undefined;
    this.#still?.close();
    this.#still = undefined;
  }
}
