import { ParlourError, type ErrorCode } from "./errors.js";
import { framesOf, type Frames } from "./frames.js";
import type { PictureSettings } from "./codecs.js";

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

/** What cameras and screens need of their room. @internal */
export interface PictureWire<Source> {
  publish(key: string, kind: "video" | "screen", muted: boolean, settings: PictureSettings): Promise<unknown>;
  /** Whether workers can take the pictures of a track. */
  hasProcessor(): Promise<boolean>;
  unpublish(key: string): Promise<unknown>;
  /** Has the worker encode these pictures, or none. */
  show(key: string, frames: Frames | null): void;
  command(command: { readonly type: string; readonly [field: string]: unknown }): Promise<unknown>;
  lost(error: ParlourError): void;
  /** It is muted, or no longer. */
  changed(source: Source): void;
  released(source: Source): void;
}

/** The stream that a camera publishes. @internal */
export const CAMERA = "camera";

/** The page's camera, in the room. Made by {@link Room.camera}. */
export class Camera {
  readonly #wire: PictureWire<Camera>;
  readonly #options: CameraOptions;
  /** The same for as long as there is the camera; its track comes and goes. */
  readonly #stream = new MediaStream();
  #deviceId: string | undefined;
  #frames: Frames | undefined;
  #inWorker = false;
  #muted: boolean;
  #stopped = false;
  /** Goes up when it is turned off: a device that was being opened then is not wanted any more. */
  #turn = 0;
  /** What is done with the device, one after the other. */
  #work: Promise<unknown> = Promise.resolve();

  private constructor(wire: PictureWire<Camera>, options: CameraOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#deviceId = options.deviceId;
    this.#muted = options.muted ?? false;
  }

  /** @internal */
  static async start(wire: PictureWire<Camera>, options: CameraOptions): Promise<Camera> {
    const camera = new Camera(wire, options);
    let track: MediaStreamTrack | undefined, frames: Frames | undefined;
    try {
      track = camera.#muted ? undefined : await camera.#open(options.deviceId);
      camera.#inWorker = await wire.hasProcessor();
      // Before it is published: a browser that cannot do this publishes nothing.
      frames = track && framesOf(track, camera.#inWorker);
      await wire.publish(CAMERA, "video", camera.#muted, camera.#settings(track));
      if (track && frames) camera.#take(track, frames);
    } catch (error) {
      frames?.end();
      track?.stop();
      camera.release();
      throw error;
    }
    return camera;
  }

  /** Whether it is turned off by {@link setMuted}. */
  get muted(): boolean {
    return this.#muted;
  }

  /** What it captures, for the user's own view: `video.srcObject = camera.stream`. It stays the same, and is empty while muted. */
  get stream(): MediaStream {
    return this.#stream;
  }

  /** The captured track; it belongs to this camera. `undefined` while muted. */
  get track(): MediaStreamTrack | undefined {
    return this.#stream.getVideoTracks()[0];
  }

  /** The id of the device in use. */
  get deviceId(): string | undefined {
    return this.track?.getSettings().deviceId ?? this.#deviceId;
  }

  /** Turns the device itself off, with its light, or on again. */
  async setMuted(muted: boolean): Promise<void> {
    if (muted) {
      // At once, whatever is being done with the device.
      ++this.#turn;
      if (this.#stopped) throw over();
      if (this.#muted) return;
      this.#muted = true;
      this.#drop();
      this.#wire.changed(this);
    } else {
      const turn = this.#turn;
      await this.#next(async () => {
        if (this.#muted && await this.#use(this.#deviceId, turn)) this.#muted = false;
      });
      if (this.#muted) return;
      this.#wire.changed(this);
    }
    await this.#wire.command({ type: "setMuted", key: CAMERA, muted });
  }

  /** Goes on with another device. If that fails, the one before stays. */
  async setDevice(deviceId: string): Promise<void> {
    const turn = this.#turn;
    await this.#next(async () => {
      if (!this.#muted) await this.#use(deviceId, turn);
      this.#deviceId = deviceId;
      this.#wire.changed(this);
    });
  }

  /** Turns it off, and ends its stream. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.release();
    await this.#wire.unpublish(CAMERA);
  }

  /** The room is over, or does not take it. @internal */
  release(): void {
    this.#stopped = true;
    this.#drop();
    this.#wire.released(this);
  }

  async #next(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(() => {
      if (this.#stopped) throw over();
      return work();
    });
    this.#work = done.catch(() => undefined);
    await done;
  }

  /** Films with a device, unless it is turned off or stopped meanwhile. */
  async #use(deviceId: string | undefined, turn: number): Promise<boolean> {
    const isWanted = () => turn === this.#turn && !this.#stopped;
    if (!isWanted()) return false;
    const track = await this.#open(deviceId);
    if (isWanted()) this.#take(track, framesOf(track, this.#inWorker));
    else track.stop();
    return isWanted();
  }

  async #open(deviceId: string | undefined): Promise<MediaStreamTrack> {
    const { width = 1_280, height = 720, frameRate = 30 } = this.#options;
    const video: MediaTrackConstraints = {
      width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate, max: frameRate },
      ...(deviceId !== undefined && { deviceId: { exact: deviceId } }),
    };
    if (!navigator.mediaDevices) throw failure(new DOMException("", "SecurityError"));
    const stream = await navigator.mediaDevices.getUserMedia({ video }).catch((error: unknown) => { throw failure(error); });
    const [track] = stream.getVideoTracks();
    if (!track) throw failure(new DOMException("", "NotFoundError"));
    return track;
  }

  #settings(track: MediaStreamTrack | undefined): PictureSettings {
    const { width: wide = 1_280, height: high = 720, frameRate = 30, bitrate } = this.#options;
    const { width = wide, height = high } = track?.getSettings() ?? {};
    return { width, height, frameRate, bitrate: bitrate ?? (width * height <= 640 * 360 ? 700_000 : 1_500_000), isText: false };
  }

  #take(track: MediaStreamTrack, frames: Frames): void {
    this.#drop();
    this.#stream.addTrack(track);
    this.#frames = frames;
    this.#wire.show(CAMERA, frames);
    // Unplugged, or taken back by the user. Not another one: nobody has agreed to be seen by that.
    const ended = () => {
      void this.stop().catch(() => undefined);
      this.#wire.lost(new ParlourError("cameraUnplugged", "the camera is gone: plug it in, or choose another, and turn it on again"));
    };
    track.onended = ended;
    if (track.readyState === "ended") ended();
  }

  /** Releases the device. */
  #drop(): void {
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
      this.#stream.removeTrack(track);
    }
    if (!this.#frames) return;
    this.#frames.end();
    this.#frames = undefined;
    this.#wire.show(CAMERA, null);
  }
}

const over = () => new ParlourError("closed", "this camera is off: turn one on with `room.camera`");

/** What `getUserMedia` says, with what to do. */
function failure(error: unknown): ParlourError {
  const name = error instanceof DOMException ? error.name : "";
  const [code, message]: [ErrorCode, string] =
    name === "NotAllowedError" ? ["cameraDenied", "the camera is not allowed: allow it for this page in the browser's settings, and in the system's"]
    : name === "SecurityError" ? ["cameraDenied", "pages may use a camera only by https or from localhost, and if their Permissions-Policy allows it"]
    : name === "NotFoundError" || name === "OverconstrainedError" || error instanceof Error && error.name === "OverconstrainedError"
      ? ["cameraMissing", "there is no such camera: plug one in, or choose another"]
    : name === "NotReadableError" || name === "AbortError" ? ["cameraBusy", "the camera cannot be opened: another program may use it"]
    : ["cameraFailed", "the camera failed"];
  return new ParlourError(code, message, error);
}
