/** The modules of WebAssembly: compiled once for the page, as browsers do not give back all that a compilation takes. */
import { ParlourError } from "./errors.js";

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The participant, for a worker. @internal */
export const participantModule = () => compile(new URL("./participant.wasm", import.meta.url));

/** The player, for a worklet. @internal */
export const playerModule = () => compile(new URL("./player.wasm", import.meta.url));

/** The encoder, for a worker: once a microphone is turned on, and not before. @internal */
export const encoderModule = () => compile(new URL("./encoder.wasm", import.meta.url));

function compile({ href }: URL): Promise<WebAssembly.Module> {
  let module = compiled.get(href);
  if (!module) {
    module = WebAssembly.compileStreaming(fetch(href)).catch((cause: unknown) => {
      // Tried again the next time.
      compiled.delete(href);
      const message = `${href} cannot be loaded: serve it beside this module as application/wasm, and allow 'wasm-unsafe-eval'`;
      throw new ParlourError("loadFailed", message, cause);
    });
    compiled.set(href, module);
  }
  return module;
}
