import type { PictureWire } from "./camera.js";
import type { PictureSettings } from "./codecs.js";
import { ParlourError, type ErrorCode } from "./errors.js";
import { framesOf, type Frames } from "./frames.js";

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

/** The stream that a screen publishes. @internal */
export const SCREEN = "screen";

/** What the page shares of the user's screen. Made by {@link Room.screen}. */
export class Screen {
  readonly #wire: PictureWire<Screen>;
  readonly #stream: MediaStream;
  #frames: Frames | undefined;
  #stopped = false;

  private constructor(wire: PictureWire<Screen>, stream: MediaStream) {
    this.#wire = wire;
    this.#stream = stream;
  }

  /** `replaces` ends the one before, once the user has chosen. @internal */
  static async start(wire: PictureWire<Screen>, options: ScreenOptions, replaces: () => Promise<void> | undefined): Promise<Screen> {
    const { width = 1_920, height = 1_080, frameRate = 10, bitrate = 2_000_000 } = options;
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices?.getDisplayMedia) {
      throw new ParlourError("notSupported", "this browser lets pages not share a screen: use one on a computer, and open the page by https");
    }
    const video: MediaTrackConstraints = { width: { max: width }, height: { max: height }, frameRate: { max: frameRate } };
    const stream = await devices.getDisplayMedia({ video, audio: false }).catch((error: unknown) => { throw failure(error); });
    const screen = new Screen(wire, stream);
    try {
      await replaces();
      await screen.#publish({ width, height, frameRate, bitrate, isText: true });
    } catch (error) {
      screen.release();
      throw error;
    }
    return screen;
  }

  /** What is shared, for the user's own view. */
  get stream(): MediaStream {
    return this.#stream;
  }

  /** Ends it. The user can do so, too, by the browser. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.release();
    await this.#wire.unpublish(SCREEN);
  }

  /** The room is over, or does not take it. @internal */
  release(): void {
    this.#stopped = true;
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    if (this.#frames) this.#wire.show(SCREEN, null);
    this.#frames?.end();
    this.#frames = undefined;
    this.#wire.released(this);
  }

  async #publish(settings: PictureSettings): Promise<void> {
    const [track] = this.#stream.getVideoTracks();
    if (!track) throw failure(new DOMException("", "NotFoundError"));
    // Letters stay sharp; for that, fewer pictures come.
    track.contentHint = "text";
    let hasEnded = false;
    track.onended = () => { hasEnded = true; };
    const { width = settings.width, height = settings.height } = track.getSettings();
    // Before it is published: a browser that cannot do this publishes nothing.
    this.#frames = framesOf(track, await this.#wire.hasProcessor());
    await this.#wire.publish(SCREEN, "screen", false, { ...settings, width, height });
    if (hasEnded) {
      await this.#wire.unpublish(SCREEN).catch(() => undefined);
      throw new ParlourError("screenDenied", "sharing was ended before it had begun: choose a screen again");
    }
    track.onended = () => void this.stop().catch(() => undefined);
    this.#wire.show(SCREEN, this.#frames);
  }
}

/** What `getDisplayMedia` says, with what to do. */
function failure(error: unknown): ParlourError {
  const name = error instanceof DOMException ? error.name : "";
  const [code, message]: [ErrorCode, string] =
    name === "NotAllowedError" ? ["screenDenied", "no screen was chosen: choose one, and if you cannot, allow it in the system's settings"]
    : name === "InvalidStateError" ? ["screenDenied", "a screen is shared only by a click or key press: call `room.screen` in one"]
    : name === "NotFoundError" || name === "NotReadableError" || name === "AbortError"
      ? ["screenFailed", "the screen cannot be captured: choose another window or screen"]
    : ["screenFailed", "sharing the screen failed"];
  return new ParlourError(code, message, error);
}
