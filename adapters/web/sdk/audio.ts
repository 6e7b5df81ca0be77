/** The page's sound: one `AudioContext` with one worklet, and whether it may play. */
import { ParlourError } from "./errors.js";
import { playerModule } from "./modules.js";
import type { SlotStatistics } from "./types.js";

/** How long the worklet may take to say its figures, in ms: it does not while the browser holds it up. */
const PATIENCE_MS = 500;
const GESTURES = ["pointerup", "keydown", "touchend"] as const;

/** What the page's sound tells its room. @internal */
export interface Listener {
  /** Whether a gesture is needed has changed. */
  needsGesture(needed: boolean): void;
  /** The worklet has failed: nothing is heard or captured any more. */
  failed(error: ParlourError): void;
}

/** @internal */
export class Audio {
  readonly context: AudioContext;
  readonly #node: Promise<AudioWorkletNode>;
  readonly #listener: Listener;
  #needsGesture = false;
  #wasStopped = false;
  #isClosed = false;
  #asked = 0;

  /** Call it in a gesture of the user, if there is one: then sound may play at once. */
  constructor(worker: MessagePort, listener: Listener) {
    if (typeof AudioWorkletNode === "undefined" || typeof WebAssembly === "undefined") {
      throw new ParlourError("notSupported", "this page has no AudioWorklet: serve it by https or from localhost, to a current browser");
    }
    this.#listener = listener;
    // The rate of Opus; the browser resamples for the device.
    this.context = new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
    this.#node = this.#load(worker);
    this.#node.catch(() => undefined);
    this.context.onstatechange = () => this.#look();
    for (const gesture of GESTURES) document.addEventListener(gesture, this.#resume, true);
    document.addEventListener("visibilitychange", this.#resume);
    void this.resume().catch(() => undefined);
    // Without a gesture `resume` waits and does not fail.
    setTimeout(() => this.#look(), 250);
  }

  async #load(worker: MessagePort): Promise<AudioWorkletNode> {
    const { context } = this;
    try {
      const [module] = await Promise.all([
        playerModule(),
        // Vite would make a data: URL of so small a file, which policies for scripts forbid.
        context.audioWorklet.addModule(new URL("./worklet.js?no-inline", import.meta.url)),
      ]);
      const node = new AudioWorkletNode(context, "parlour", {
        numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1], channelCount: 1, channelCountMode: "explicit",
        processorOptions: { module },
      });
      node.onprocessorerror = () => {
        this.#listener.failed(new ParlourError("audioFailed", "the page's sound has failed: join again, and report this"));
      };
      node.port.postMessage({ worker }, [worker]);
      node.connect(context.destination);
      return node;
    } catch (cause) {
      if (cause instanceof ParlourError) throw cause;
      throw new ParlourError("loadFailed", "worklet.js cannot be loaded: serve it beside this module", cause);
    }
  }

  /** The worklet, once it is there. */
  get ready(): Promise<AudioWorkletNode> {
    return this.#node;
  }

  get needsGesture(): boolean {
    return this.#needsGesture;
  }

  /** Lets sound play: works in a gesture of the user. */
  async resume(): Promise<void> {
    if (!this.#isClosed && this.context.state !== "running") await this.context.resume();
    this.#look();
  }

  readonly #resume = () => {
    if (document.visibilityState === "visible") void this.resume().catch(() => undefined);
  };

  #look(): void {
    if (this.#isClosed) return;
    const stopped = this.context.state !== "running";
    // What came while nothing was played is too old.
    if (this.#wasStopped && !stopped) void this.#node.then((node) => node.port.postMessage({ restart: true }), () => undefined);
    this.#wasStopped = stopped;
    if (stopped !== this.#needsGesture) {
      this.#needsGesture = stopped;
      this.#listener.needsGesture(stopped);
    }
  }

  /** Has the worklet give the microphone's sound to the worker, or not. */
  async capture(on: boolean): Promise<void> {
    (await this.#node).port.postMessage({ capture: on });
  }

  async setSpeaker(deviceId: string): Promise<void> {
    const context = this.context as AudioContext & { setSinkId?(id: string): Promise<void> };
    if (!context.setSinkId) {
      throw new ParlourError("notSupported", "this browser lets pages not choose the speaker: choose it in the system's settings");
    }
    try {
      await context.setSinkId(deviceId);
    } catch (cause) {
      throw new ParlourError("invalidArgument", "there is no such speaker: list them anew with `devices`", cause);
    }
  }

  async statistics(): Promise<SlotStatistics[]> {
    if (this.context.state !== "running") return [];
    const node = await this.#node, id = ++this.#asked;
    const slots = await new Promise<number[][]>((resolve) => {
      const answered = ({ data }: MessageEvent<{ id: number; slots: number[][] }>) => {
        if (data.id === id) settle(data.slots);
      };
      const timer = setTimeout(() => settle([]), PATIENCE_MS);
      const settle = (slots: number[][]) => {
        clearTimeout(timer);
        node.port.removeEventListener("message", answered);
        resolve(slots);
      };
      node.port.addEventListener("message", answered);
      node.port.start();
      node.port.postMessage({ statistics: id });
    });
    return slots.map(([received = 0, late = 0, lost = 0, concealed = 0, delay = 0, target = 0]) => (
      { received, late, lost, concealed: concealed / 48, delay: delay / 48, target: target / 48 }
    ));
  }

  close(): void {
    this.#isClosed = true;
    for (const gesture of GESTURES) document.removeEventListener(gesture, this.#resume, true);
    document.removeEventListener("visibilitychange", this.#resume);
    void this.context.close().catch(() => undefined);
  }
}
