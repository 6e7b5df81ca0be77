/**
 * How somebody gets in: by a guest link or a ticket, from the page's address or typed in.
 *
 * Both are secrets. They stand in the fragment of the address, which is not sent, and are taken out of it at once; this tab keeps
 * them, so that a reload leads back into the room.
 */
import { memory } from "./dom.js";
import { PageError } from "./problems.js";

/**
 * @typedef {{ kind: "guest", link: string } | { kind: "ticket", ticket: string }} Invitation
 * @typedef {{ ticket: string, refresh: string | null, name: string, at: number }} Pass What a guest was given for a link, and when.
 */

/** How long the server may take to answer. */
const PATIENCE_MS = 10_000;
/** So old a pass is used as it is. It is valid for an hour. */
const FRESH_MS = 1_800_000;
const TICKET = /^parlour:\/\/([^/#\s]+)\/([A-Za-z0-9_-]{43})#([!-~]+)$/;

/** The name of the room whose page this is. */
export const room = decoded(location.pathname.split("/")[2] ?? "");

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const KEPT = `parlour:invitation:${room}`;
const PASS = `parlour:pass:${room}`;

/**
 * Takes the invitation out of the address, or gives the one that this tab had before.
 * @returns {Invitation | PageError | null}
 */
export function invited() {
  const fragment = location.hash.slice(1);
  if (fragment === "") return memory.get("sessionStorage", KEPT);
  history.replaceState(history.state, "", location.pathname);
  forget();
  try {
    return keep(read(`#${fragment}`));
  } catch (error) {
    return /** @type {PageError} */ (error);
  }
}

/**
 * @param {Invitation} invitation
 * @returns {Invitation}
 */
export function keep(invitation) {
  memory.set("sessionStorage", KEPT, invitation);
  return invitation;
}

/** A guest is somebody else the next time. */
export function forgetPass() {
  memory.set("sessionStorage", PASS, null);
}

/** This tab knows no invitation any more. */
export function forget() {
  memory.set("sessionStorage", KEPT, null);
  forgetPass();
}

/**
 * Reads a ticket, a guest link, or the address of a page with one of them.
 * @param {string} typed
 * @returns {Invitation}
 * @throws {PageError}
 */
export function read(typed) {
  const given = typed.trim();
  if (given.startsWith("parlour://")) return { kind: "ticket", ticket: parts(given).ticket };
  if (/^pgl_[\w-]+$/.test(given)) return { kind: "guest", link: given };
  const [, fragment] = given.split(/#(.*)/s);
  const fields = new URLSearchParams(fragment ?? "");
  const guest = fields.get("guest"), ticket = fields.get("ticket");
  if (guest && /^pgl_[\w-]+$/.test(guest)) return { kind: "guest", link: guest };
  if (ticket) return { kind: "ticket", ticket: parts(ticket).ticket };
  throw new PageError("invalidTicket");
}

/**
 * @param {string} ticket
 * @throws {PageError}
 */
function parts(ticket) {
  const [whole, address, key, token] = TICKET.exec(ticket.trim()) ?? [];
  if (!whole || !address || !key || !token) throw new PageError("invalidTicket");
  return { ticket: whole, address, key, token };
}

/**
 * What a ticket says of its bearer. Only the server can tell whether that is true.
 * @param {string} ticket
 * @returns {{ room?: string, sub?: string, name?: string }}
 */
export function claims(ticket) {
  try {
    const payload = parts(ticket).token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

/**
 * A ticket with which to join now, and how to get the next token.
 * @param {Invitation} invitation
 * @param {string} name Of a guest.
 * @returns {Promise<{ ticket: string, refreshToken?: () => Promise<string> }>}
 * @throws {PageError}
 */
export async function admitted(invitation, name) {
  if (invitation.kind === "ticket") {
    const { ticket, address, key } = parts(invitation.ticket);
    const its = claims(ticket).room;
    if (its !== undefined && its !== room) throw new PageError("otherRoom");
    await checkServer(address, key);
    return { ticket };
  }
  const pass = await passOf(invitation.link, name);
  return { ticket: pass.ticket, ...(pass.refresh && { refreshToken: () => refreshed(pass) }) };
}

/**
 * A participant that knows another key would wait in vain: the server does not understand it.
 * @param {string} address
 * @param {string} key
 */
async function checkServer(address, key) {
  const ways = await asked(() => fetch("/.well-known/parlour", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) }));
  const { key: ours } = await ways.json().catch(() => ({}));
  if (typeof ours === "string" && ours !== key) throw new PageError("otherServer", { host: address });
}

/**
 * The guest's pass: the one of before, so that it is the same participant after a reload, or a new one.
 * @param {string} link
 * @param {string} name
 * @returns {Promise<Pass>}
 */
async function passOf(link, name) {
  /** @type {Pass | null} */
  const former = memory.get("sessionStorage", PASS);
  if (former?.refresh && former.name === name) {
    try {
      if (Date.now() - former.at > FRESH_MS) await refreshed(former);
      return former;
    } catch { /* Too old: as another guest. */ }
  }
  const minted = await posted("/v1/guests", { guest_link: link, name });
  const pass = { ticket: minted.ticket, refresh: minted.refresh_token ?? null, name, at: Date.now() };
  memory.set("sessionStorage", PASS, pass);
  return pass;
}

/**
 * @param {Pass} pass
 * @returns {Promise<string>} The token.
 */
async function refreshed(pass) {
  const minted = await posted("/v1/tokens/refresh", { refresh_token: pass.refresh, ttl_s: 3_600 });
  [pass.ticket, pass.at] = [minted.ticket, Date.now()];
  memory.set("sessionStorage", PASS, pass);
  return minted.token;
}

/** What the API's problems are to a guest. @type {Record<string, string>} */
const PROBLEMS = {
  "unauthenticated": "linkExpired",
  "key-revoked": "linkExpired",
  "not-possible": "linkExpired",
  "not-found": "unknownRoom",
  "room-disabled": "roomDisabled",
  "rate-limited": "tooOften",
  "draining": "unavailable",
  "storage-unavailable": "unavailable",
  "timed-out": "unavailable",
  "validation": "nameRefused",
};

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
async function posted(path, body) {
  const response = await asked(() => fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }));
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const kind = String(answer.type ?? "").split(/[/:#]/).at(-1) ?? "";
  throw new PageError(PROBLEMS[kind] ?? "other", { reason: answer.detail ?? `${response.status}` });
}

/**
 * @param {() => Promise<Response>} request
 * @returns {Promise<Response>}
 */
async function asked(request) {
  try {
    return await request();
  } catch {
    throw new PageError("unreachable");
  }
}
