/** The Opus encoder's module; see encoder/src/exports.rs. */
import { ParlourError } from "./errors.js";

const MAX_SAMPLES = 4_096;

interface Exports {
  readonly memory: WebAssembly.Memory;
  open(bitrate: number, dtx: number): number;
  input(): number;
  write(now: number, samples: number, loss: number): void;
  next(): number;
  payload(): number;
  timestamp(): number;
  level(): number;
}

/** Takes a frame of sound that is to be sent. */
export type Take = (timestamp: number, level: number, payload: Uint8Array) => void;

/** Encodes one microphone. */
export interface Encoder {
  open(bitrate: number, dtx: boolean): void;
  encode(now: number, pcm: Float32Array, loss: number, take: Take): void;
}

/** Makes one of its module. */
export async function startEncoder(module: WebAssembly.Module): Promise<Encoder> {
  const { exports } = await WebAssembly.instantiate(module);
  const wasm = exports as unknown as Exports;
  return {
    open(bitrate, dtx) {
      if (wasm.open(bitrate, Number(dtx))) {
        throw new ParlourError("invalidArgument", `Opus has no bit rate of ${bitrate}: give bits per second, such as 32000`);
      }
    },
    encode(now, pcm, loss, take) {
      for (let at = 0; at < pcm.length; at += MAX_SAMPLES) {
        const piece = pcm.subarray(at, at + MAX_SAMPLES);
        new Float32Array(wasm.memory.buffer, wasm.input(), piece.length).set(piece);
        wasm.write(now, piece.length, loss);
        for (let len; (len = wasm.next()) >= 0;) {
          if (len > 0) take(wasm.timestamp() >>> 0, wasm.level(), new Uint8Array(wasm.memory.buffer, wasm.payload(), len));
        }
      }
    },
  };
}
