/**
 * The public API, by the cookie of the login.
 *
 * A request that finds the login over waits for another login and is sent again, so that nothing typed is lost.
 */
import { text } from "./text.js";

/** @typedef {{ method: string, path: string, body?: any }} Asked */

/** What the API answers instead: its problem. */
export class Problem extends Error {
  /** @param {any} body @param {number} status */
  constructor(body, status) {
    /** @type {{ pointer: string, detail: string }[]} */
    const errors = body.errors ?? [];
    super(body.detail || errors.map(({ detail }) => detail).join("; ") || body.title || text("ui.failed", { status }));
    this.kind = String(body.type ?? "").split(":").at(-1) ?? "";
    this.status = status;
    this.errors = errors;
  }
}

let csrf = "";
/** What the page that is shown waits for. */
let page = new AbortController();
/** Asks for a login, which another request may wait for, too. @type {() => Promise<void>} */
let logIn = () => Promise.reject(new Error("nobody is asked"));
/** @type {Promise<void> | null} */
let waiting = null;
/** Told of each request of the page that is shown. @type {(asked: Asked) => void} */
let told = () => undefined;

/** What the page has asked for is not answered any more: another one is shown. */
export function leavePage() {
  page.abort();
  page = new AbortController();
}

/** @param {() => Promise<void>} ask */
export const onLoginNeeded = (ask) => { logIn = ask; };
/** @param {(asked: Asked) => void} tell */
export const onAsked = (tell) => { told = tell; };
/** @param {string | null} token */
export const setToken = (token) => { csrf = token ?? ""; };

/** A login for all who wait for one. */
export function login() {
  waiting ??= logIn().finally(() => { waiting = null; });
  return waiting;
}

/** @returns {Promise<never>} */
const never = () => new Promise(() => undefined);

/**
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 * @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
async function send(method, path, body, headers = {}, signal = undefined) {
  try {
    return await fetch(path, {
      method,
      headers: { ...headers, ...(body !== undefined && { "content-type": "application/json" }), ...(method !== "GET" && { "x-csrf-token": csrf }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      cache: "no-store", signal,
    });
  } catch {
    if (signal?.aborted) return never();
    throw new Error(text("ui.unreachable"));
  }
}

/**
 * Sends a request of the API, again after a login if need be.
 * @param {string} method
 * @param {string} path Behind `/v1`.
 * @param {any} [body]
 * @param {{ headers?: Record<string, string>, quiet?: boolean }} [options] `quiet`: nothing to tell the page of.
 * @returns {Promise<any>} The body of the answer, with `etag` if it has one.
 */
export async function ask(method, path, body, { headers = {}, quiet = false } = {}) {
  if (!quiet) told({ method, path: `/v1${path}`, body });
  const signal = method === "GET" ? page.signal : undefined;
  for (let tries = 0; ; tries++) {
    const response = await send(method, `/v1${path}`, body, headers, signal);
    if (response.status === 401 && tries < 3) {
      await login();
      continue;
    }
    const answer = response.status === 204 ? null : await response.json().catch(() => ({}));
    if (signal?.aborted) return never();
    if (!response.ok) throw new Problem(answer, response.status);
    const etag = response.headers.get("etag");
    if (etag && answer) Object.defineProperty(answer, "etag", { value: etag });
    return answer;
  }
}

/** @param {string} path @param {{ quiet?: boolean }} [options] */
export const get = (path, options) => ask("GET", path, undefined, options);

/**
 * The query of a list; what is empty is left out.
 * @param {Record<string, string | number | string[] | null | undefined>} values
 */
export function query(values) {
  const pairs = Object.entries(values).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]));
  const given = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [String(name), String(value)]))}` : "";
}

/** Who is logged in. No request waits for a login here. */
export async function whoIsIn() {
  const response = await send("GET", "/v1/login");
  return response.json();
}

/**
 * Logs in.
 * @param {{ name?: string, password?: string }} credentials
 */
export async function enter(credentials) {
  const response = await send("POST", "/v1/login", credentials);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(answer, response.status);
  setToken(answer.csrf_token);
  return answer;
}

/** Logs out. */
export const leave = () => send("DELETE", "/v1/login");
