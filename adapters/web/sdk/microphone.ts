import type { Audio } from "./audio.js";
import { ParlourError, type ErrorCode } from "./errors.js";

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

/** What a microphone needs of its room. @internal */
export interface Wire {
  readonly audio: Audio;
  /** Has the worker encode, from now on, what is captured, as the stream `key`. */
  capture(key: string, bitrate: number, dtx: boolean): Promise<void>;
  command(command: { type: string; [field: string]: unknown }): Promise<unknown>;
  lost(error: ParlourError): void;
  /** It is muted, or no longer. */
  muted(microphone: Microphone): void;
  released(microphone: Microphone): void;
}

/** The stream that a microphone publishes. @internal */
export const STREAM = "mic";

/** The page's microphone, in the room. Made by {@link Room.microphone}. */
export class Microphone {
  readonly #wire: Wire;
  readonly #options: MicrophoneOptions;
  #stream: MediaStream | undefined;
  #source: MediaStreamAudioSourceNode | undefined;
  #muted: boolean;
  #stopped = false;

  private constructor(wire: Wire, options: MicrophoneOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#muted = options.muted ?? false;
  }

  /** @internal */
  static async start(wire: Wire, options: MicrophoneOptions): Promise<Microphone> {
    const microphone = new Microphone(wire, options);
    try {
      await Promise.all([
        microphone.#open(options.deviceId), wire.capture(STREAM, options.bitrate ?? 32_000, options.dtx ?? true),
      ]);
      await wire.command({ type: "publish", key: STREAM, muted: microphone.#muted });
      await wire.audio.capture(!microphone.#muted);
    } catch (error) {
      microphone.#release();
      throw error;
    }
    return microphone;
  }

  /** Whether it is silenced by {@link setMuted}. */
  get muted(): boolean {
    return this.#muted;
  }

  /** The captured track, for a picture of its waves; it belongs to this microphone. */
  get track(): MediaStreamTrack | undefined {
    return this.#stream?.getAudioTracks()[0];
  }

  /** The id of the device in use. */
  get deviceId(): string | undefined {
    return this.track?.getSettings().deviceId;
  }

  /** Silences it, or lets it be heard again. Nothing is captured while it is silenced. */
  async setMuted(muted: boolean): Promise<void> {
    this.#check();
    if (muted === this.#muted) return;
    this.#muted = muted;
    this.#wire.muted(this);
    if (this.track) this.track.enabled = !muted;
    await this.#wire.audio.capture(!muted);
    await this.#wire.command({ type: "setMuted", key: STREAM, muted });
  }

  /** Goes on with another device. If that fails, the one before stays. */
  async setDevice(deviceId: string): Promise<void> {
    this.#check();
    await this.#open(deviceId);
  }

  /** Turns it off, and ends its stream. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#release();
    await this.#wire.audio.capture(false);
    await this.#wire.command({ type: "unpublish", key: STREAM });
  }

  /** The room is over. @internal */
  release(): void {
    this.#release();
  }

  #check(): void {
    if (this.#stopped) throw new ParlourError("closed", "this microphone is off: turn one on with `room.microphone`");
  }

  async #open(deviceId: string | undefined): Promise<void> {
    const { echoCancellation = true, noiseSuppression = true, autoGainControl = true } = this.#options;
    const audio: MediaTrackConstraints = { echoCancellation, noiseSuppression, autoGainControl, channelCount: 1 };
    if (deviceId !== undefined) audio.deviceId = { exact: deviceId };
    if (!navigator.mediaDevices) throw failure(new DOMException("", "SecurityError"));
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error: unknown) => { throw failure(error); });
    let source: MediaStreamAudioSourceNode;
    try {
      const node = await this.#wire.audio.ready;
      if (this.#stopped) return stopTracks(stream);
      source = this.#wire.audio.context.createMediaStreamSource(stream);
      source.connect(node);
    } catch (error) {
      stopTracks(stream);
      throw failure(error);
    }
    this.#source?.disconnect();
    stopTracks(this.#stream);
    [this.#stream, this.#source] = [stream, source];
    const [track] = stream.getAudioTracks();
    if (!track) return;
    track.enabled = !this.#muted;
    // Unplugged, or taken back by the user: another one, if there is.
    track.onended = () => void this.#open(undefined).catch((error: ParlourError) => {
      void this.stop().catch(() => undefined);
      this.#wire.lost(error);
    });
  }

  #release(): void {
    this.#stopped = true;
    this.#source?.disconnect();
    stopTracks(this.#stream);
    this.#stream = this.#source = undefined;
    this.#wire.released(this);
  }
}

function stopTracks(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
}

/** What `getUserMedia` says, with what to do. */
function failure(error: unknown): ParlourError {
  const name = error instanceof DOMException ? error.name : "";
  const [code, message]: [ErrorCode, string] =
    name === "NotAllowedError" ? ["microphoneDenied", "the microphone is not allowed: allow it for this page in the browser's settings, and in the system's"]
    : name === "SecurityError" ? ["microphoneDenied", "pages may use a microphone only by https or from localhost, and if their Permissions-Policy allows it"]
    : name === "NotFoundError" || name === "OverconstrainedError" ? ["microphoneMissing", "there is no such microphone: plug one in, or choose another"]
    : name === "NotReadableError" || name === "AbortError" ? ["microphoneBusy", "the microphone cannot be opened: another program may use it"]
    : ["microphoneFailed", "the microphone failed"];
  return new ParlourError(code, message, error);
}
