/** What happens, as it happens: one stream of events for the page that is shown, and questions that are asked again. */
import { leavePage, login, Problem, query, whoIsIn } from "./api.js";
import { show } from "./how.js";
import { settled } from "./ui.js";

/** @typedef {{ type: string, at: string, seq: number, room: string | null, session: string | null, participant: string | null, data: any }} Event */

/** How long to wait before a stream that was refused is asked for again. */
const PAUSE_MS = 2_000;

/** What ends with the page that is shown. @type {Set<() => void>} */
const running = new Set();

/** Ends all that the former page has begun. */
export function endAll() {
  leavePage();
  for (const end of running) end();
  running.clear();
}

/**
 * Tells of events until another page is shown. A tab that nobody sees keeps no connection; it catches up when it is seen.
 * @param {string} filter
 * @param {(event: Event) => void} tell
 * @param {() => unknown} [missed] Read anew: what happened before the stream began, or while it was broken, is told by no event.
 */
export function live(filter, tell, missed = () => undefined) {
  /** @type {EventSource | null} */
  let source = null;
  let timer = 0, ended = false;
  const open = () => {
    if (ended || document.hidden || source) return;
    const made = source = new EventSource(`/v1/events/stream${filter}`);
    made.onopen = async () => {
      // What fails here is read again with the next event.
      try {
        if (!ended) await missed();
      } catch { /* The page shows what it has. */ }
    };
    made.onmessage = ({ data }) => { if (!ended) tell(JSON.parse(data)); };
    made.onerror = async () => {
      // The browser tries again by itself, unless the answer was an error.
      if (made.readyState !== EventSource.CLOSED || source !== made) return;
      source = null;
      const who = await whoIsIn().catch(() => null);
      if (who && !who.admin && !ended) await login();
      timer = setTimeout(open, PAUSE_MS);
    };
  };
  const see = () => {
    if (!document.hidden) return open();
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", see);
  running.add(() => {
    ended = true;
    clearTimeout(timer);
    source?.close();
    document.removeEventListener("visibilitychange", see);
  });
  show({ method: "GET", path: `/v1/events/stream${filter}` });
  open();
}

/**
 * Keeps the page of one recording or composition as it is; leads to the list once it is gone, whoever has deleted it.
 * @param {"recording" | "composition"} kind
 * @param {{ id: string, session: string }} one
 * @param {string[]} types Of the events after which it is read again.
 * @param {() => Promise<unknown>} read
 * @returns {() => Promise<void>} Reads it again.
 */
export function follow(kind, { id, session }, types, read) {
  const leave = () => { location.hash = `/${kind}s`; };
  const again = async () => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof Problem && error.kind === "not-found")) throw error;
      leave();
    }
  };
  const soon = settled(200, again);
  // There is nothing left to read of what is deleted.
  live(query({ session, type: types }), ({ type, data }) => type === `${kind}.deleted` && data[kind].id === id ? leave() : soon(), again);
  return again;
}

/**
 * Does something again and again while the page is seen, until another one is shown.
 * @param {number} ms
 * @param {() => Promise<unknown>} act
 */
export function every(ms, act) {
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || document.hidden) return;
    busy = true;
    // What fails once may work the next time.
    await act().catch(() => undefined);
    busy = false;
  }, ms);
  running.add(() => clearInterval(timer));
}

/** Has something done when another page is shown. @param {() => void} act */
export const atEnd = (act) => { running.add(act); };
