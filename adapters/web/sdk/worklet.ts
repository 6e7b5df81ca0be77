/**
 * Both ways of sound, by the sound card's clock: what others say is pulled from the core's jitter buffers and decoders here, and
 * the microphone's quanta go to the worker in pieces of about 20 ms. See player/src/exports.rs.
 */
interface Player {
  readonly memory: WebAssembly.Memory;
  prepare(count: number): void;
  payload(): number;
  push(
    now: number, slot: number, sequence: number, timestamp: number, duration: number, payloadType: number, speaker: number,
    marker: number, len: number,
  ): number;
  read(now: number, samples: number): number;
  restart(): void;
  statistic(slot: number, figure: number): number;
}

// What the types of the DOM have not of an AudioWorkletGlobalScope.
declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: unknown): void;
declare const currentTime: number;

/** 20 ms at 48 kHz. */
const PIECE = 960;
const SLOTS = 32;
/** As exports.rs lists them. */
const FIGURES = 6;
const HEAD = 32;
/** Most samples that the player mixes at a time. */
const MAX_SAMPLES = 4_096;

/** What the page asks of the worklet. */
type Asked =
  | { readonly worker: MessagePort }
  | { readonly capture: boolean }
  | { readonly restart: true }
  | { readonly statistics: number };

class Parlour extends AudioWorkletProcessor {
  readonly #player: Player;
  #worker: MessagePort | undefined;
  #piece = new Float32Array(PIECE);
  #filled = 0;
  #captures = false;

  constructor({ processorOptions }: { processorOptions: { module: WebAssembly.Module } }) {
    super();
    // Synchronous: the module came compiled.
    this.#player = new WebAssembly.Instance(processorOptions.module, {}).exports as unknown as Player;
    this.#player.prepare(2);
    this.port.onmessage = ({ data }: MessageEvent<Asked>) => this.#ask(data);
  }

  #ask(asked: Asked): void {
    if ("worker" in asked) {
      this.#worker = asked.worker;
      this.#worker.onmessage = ({ data }: MessageEvent<Uint8Array>) => this.#take(data);
    } else if ("capture" in asked) {
      this.#captures = asked.capture;
      this.#filled = 0;
    } else if ("restart" in asked) {
      this.#player.restart();
    } else {
      this.port.postMessage({ id: asked.statistics, slots: this.#statistics() });
    }
  }

  /** Frames, packed as the participant does. */
  #take(frames: Uint8Array): void {
    const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
    const now = currentTime * 1_000;
    for (let at = 0; at + HEAD <= frames.length;) {
      const len = view.getUint32(at + 12, true);
      const payload = frames.subarray(at + HEAD, at + HEAD + len);
      // Made anew each time: the memory may have grown.
      new Uint8Array(this.#player.memory.buffer, this.#player.payload(), len).set(payload);
      this.#player.push(
        now, view.getUint8(at), view.getFloat64(at + 16, true), view.getFloat64(at + 24, true), view.getUint32(at + 4, true),
        view.getUint8(at + 1), view.getUint32(at + 8, true), view.getUint8(at + 2), len,
      );
      at += HEAD + len;
    }
  }

  process([microphone]: Float32Array[][], [speaker]: Float32Array[][]): boolean {
    const out = speaker?.[0];
    if (out) {
      for (let at = 0; at < out.length; at += MAX_SAMPLES) {
        const samples = Math.min(MAX_SAMPLES, out.length - at);
        const mixed = this.#player.read(currentTime * 1_000, samples);
        out.set(new Float32Array(this.#player.memory.buffer, mixed, samples), at);
      }
    }
    const heard = microphone?.[0];
    if (heard && this.#captures && this.#worker) this.#capture(heard, this.#worker);
    return true;
  }

  #capture(quantum: Float32Array, worker: MessagePort): void {
    for (let at = 0; at < quantum.length;) {
      const part = quantum.subarray(at, at + PIECE - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === PIECE) {
        worker.postMessage(this.#piece, [this.#piece.buffer]);
        this.#piece = new Float32Array(PIECE);
        this.#filled = 0;
      }
    }
  }

  #statistics(): number[][] {
    const slots = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const figures = Array.from({ length: FIGURES }, (_, figure) => this.#player.statistic(slot, figure));
      if (figures[0] !== undefined && figures[0] > 0) slots.push(figures);
    }
    return slots;
  }
}

registerProcessor("parlour", Parlour);
