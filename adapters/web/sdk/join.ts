/** How a room is joined: the options, the worker, and the carriage that is remembered. */
import { ParlourError } from "./errors.js";
import type { CarriageName, Policy, TransportChoice } from "./types.js";

/** How to join. */
export interface JoinOptions {
  /**
   * The address of the server's API, such as `https://rooms.example.org`, perhaps with a path. Give it wherever the page is not
   * served by the server itself. Without it, it is a guess: the page's own origin if the ticket is for the page's host, or if the
   * page is on `localhost`; else `https://` and the ticket's host.
   */
  server?: string;
  /** Which carriage to use. `auto` by default. */
  transport?: TransportChoice;
  /** What to hear without asking for each stream: `all` by default. */
  policy?: Policy;
  /** How many voices to hear at a time, at most and by default 32. */
  voices?: number;
  /** How long to try, in milliseconds: 15,000 by default. */
  timeout?: number;
  /** Gives a new token when the old one is about to expire. */
  refreshToken?: () => Promise<string>;
}

/** For so long the carriage that worked is remembered, in ms: networks change. */
const REMEMBERED_MS = 3_600_000;

/** Fails if a ticket or an option is none. @internal */
export function check(ticket: string, { server, timeout, voices }: JoinOptions): void {
  if (typeof ticket !== "string" || !ticket.startsWith("parlour://")) {
    throw new ParlourError("invalidTicket", "this is not a ticket: it must start with parlour://");
  }
  if (server !== undefined && !/^https?:$/.test(protocolOf(server))) {
    throw new ParlourError("invalidArgument", "the option `server` is no web address: give one such as https://rooms.example.org");
  }
  if (timeout !== undefined && !(timeout > 0)) {
    throw new ParlourError("invalidArgument", "the option `timeout` is in milliseconds, and more than 0");
  }
  if (voices !== undefined && !(Number.isInteger(voices) && voices >= 0 && voices <= 32)) {
    throw new ParlourError("invalidArgument", "the option `voices` is a whole number from 0 to 32");
  }
}

function protocolOf(url: string): string {
  try {
    return new URL(url).protocol;
  } catch {
    return "";
  }
}

/** @internal */
export function startWorker(): Worker {
  try {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  } catch {
    // Of another origin, as from a CDN: a worker of this one that imports it.
    const source = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    return new Worker(url, { type: "module" });
  }
}

/** The carriage that worked, for an hour, if that is the one that is not tried first. */
export class Memory {
  readonly #key: string;

  constructor(server: string | undefined) {
    this.#key = `parlour:carriage:${server ?? ""}`;
  }

  get carriage(): CarriageName | null {
    try {
      const [name, at] = (localStorage.getItem(this.#key) ?? "").split(" ");
      return name === "webSocket" && Math.abs(Date.now() - Number(at)) < REMEMBERED_MS ? name : null;
    } catch {
      return null;
    }
  }

  set carriage(name: CarriageName) {
    try {
      localStorage.setItem(this.#key, `${name} ${Date.now()}`);
    } catch { /* Pages may be without storage. */ }
  }
}
