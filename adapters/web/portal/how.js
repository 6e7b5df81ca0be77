/** Each request of a page as `curl` sends it, and the command that does the same. */
import { button, element, h, say } from "./ui.js";
import { text } from "./text.js";

/** @typedef {import("./api.js").Asked} Asked */

/**
 * The commands: method and path as the API's description has them, the command's words, and the members that stand without a name.
 * @type {[method: string, path: string, words: string, positional?: string[]][]}
 */
const COMMANDS = [
  ["GET", "/v1/rooms", "room list"],
  ["POST", "/v1/rooms", "room create", ["name"]],
  ["GET", "/v1/rooms/{}", "room get"],
  ["PATCH", "/v1/rooms/{}", "room update"],
  ["DELETE", "/v1/rooms/{}", "room delete"],
  ["POST", "/v1/rooms/{}/tokens", "token create", ["participant"]],
  ["POST", "/v1/rooms/{}/tokens/revoke", "token revoke"],
  ["POST", "/v1/rooms/{}/guest-links", "token guest-link"],
  ["GET", "/v1/rooms/{}/bans", "ban list"],
  ["PUT", "/v1/rooms/{}/bans/{}", "ban add"],
  ["DELETE", "/v1/rooms/{}/bans/{}", "ban remove"],
  ["GET", "/v1/rooms/{}/lobby", "lobby list"],
  ["POST", "/v1/rooms/{}/lobby/admit", "lobby admit", ["participants"]],
  ["POST", "/v1/rooms/{}/lobby/deny", "lobby deny", ["participants"]],
  ["GET", "/v1/sessions", "session list"],
  ["GET", "/v1/sessions/{}", "session get"],
  ["GET", "/v1/sessions/{}/stats", "session stats"],
  ["POST", "/v1/sessions/{}/end", "session end"],
  ["POST", "/v1/sessions/{}/kick", "session kick", ["participants"]],
  ["POST", "/v1/sessions/{}/censor", "session censor", ["participants"]],
  ["POST", "/v1/sessions/{}/uncensor", "session uncensor", ["participants"]],
  ["POST", "/v1/sessions/{}/messages", "session message", ["to"]],
  ["GET", "/v1/participants", "participant list"],
  ["GET", "/v1/sessions/{}/participants/{}", "participant get"],
  ["DELETE", "/v1/sessions/{}/participants/{}/streams/{}", "participant unpublish"],
  ["GET", "/v1/recordings", "recording list"],
  ["GET", "/v1/recordings/{}", "recording get"],
  ["DELETE", "/v1/recordings/{}", "recording delete"],
  ["GET", "/v1/recordings/{}/content", "recording download"],
  ["GET", "/v1/compositions", "composition list"],
  ["POST", "/v1/compositions", "composition create", ["session"]],
  ["GET", "/v1/compositions/{}", "composition get"],
  ["GET", "/v1/compositions/{}/content", "composition download"],
  ["POST", "/v1/compositions/{}/cancel", "composition cancel"],
  ["DELETE", "/v1/compositions/{}", "composition delete"],
  ["PUT", "/v1/sessions/{}/recording", "recording start", ["participants"]],
  ["GET", "/v1/sessions/{}/recording", "recording status"],
  ["DELETE", "/v1/sessions/{}/recording", "recording stop"],
  ["GET", "/v1/webhooks", "webhook list"],
  ["POST", "/v1/webhooks", "webhook create", ["url"]],
  ["GET", "/v1/webhooks/{}", "webhook get"],
  ["PATCH", "/v1/webhooks/{}", "webhook update", ["url"]],
  ["DELETE", "/v1/webhooks/{}", "webhook delete"],
  ["POST", "/v1/webhooks/{}/test", "webhook test"],
  ["POST", "/v1/webhooks/{}/rotate", "webhook rotate"],
  ["POST", "/v1/webhooks/{}/replay", "webhook replay"],
  ["GET", "/v1/webhooks/{}/deliveries", "webhook deliveries"],
  ["POST", "/v1/webhooks/{}/deliveries/{}/retry", "webhook retry"],
  ["GET", "/v1/events", "event list"],
  ["GET", "/v1/events/stream", "event tail"],
  ["GET", "/v1/keys", "key list"],
  ["POST", "/v1/keys", "key create", ["id"]],
  ["POST", "/v1/keys/{}/rotate", "key rotate"],
  ["DELETE", "/v1/keys/{}", "key revoke"],
  ["GET", "/v1/admins", "admin list"],
  ["PUT", "/v1/admins/{}", "admin password"],
  ["DELETE", "/v1/admins/{}", "admin delete"],
  ["GET", "/v1/audit", "audit list"],
  ["POST", "/v1/erasures", "erasure create", ["participant"]],
  ["GET", "/v1/erasures", "erasure list"],
  ["GET", "/v1/server", "server get"],
  ["GET", "/v1/server/stats", "server stats"],
  ["POST", "/v1/server/drain", "server drain"],
  ["DELETE", "/v1/server/drain", "server end-drain"],
  ["POST", "/v1/server/backup", "server backup"],
];
/** Commands that ask before they delete. */
const ASKS = /^(\w+ delete|key revoke|erasure create)$/;

/** A word of a shell. @param {string} word */
const quoted = (word) => /^[\w./:@%+,~-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/**
 * A member or parameter as an option; `_s` and `_ms` go, since a command takes a time with its unit.
 * @param {string} name
 * @param {any} value
 * @returns {string[]}
 */
function option(name, value) {
  const flag = `--${name.replace(/_m?s$/, "").replaceAll("_", "-")}`;
  if (["participants", "to"].includes(name)) return value === "all" ? ["--all"] : [];
  if (value === true) return [flag];
  if (value === false) return [`${flag}=false`];
  if (value === null) return [flag, "none"];
  if (Array.isArray(value)) return value.length ? [flag, quoted(value.join(","))] : [];
  if (typeof value === "object") return [flag, quoted(JSON.stringify(value))];
  return [flag, quoted(`${value}${/_(m?s)$/.exec(name)?.[1] ?? ""}`)];
}

/**
 * The command that does what a request does.
 * @param {Asked} asked
 * @returns {string | null}
 */
export function command({ method, path, body }) {
  const [plain = "", search = ""] = path.split("?");
  for (const [its, template, words, positional = []] of COMMANDS) {
    const found = its === method && new RegExp(`^${template.replaceAll("{}", "([^/]+)")}$`).exec(plain);
    if (!found) continue;
    const parts = found.slice(1).map((part) => quoted(decodeURIComponent(part)));
    const members = words === "admin password" ? {} : body ?? {};
    const first = positional.flatMap((name) => members[name] === "all" ? [] : members[name] ?? []).map((value) => quoted(String(value)));
    const named = Object.entries(members).filter(([name, value]) => !positional.includes(name) || value === "all").flatMap(([name, value]) => option(name, value));
    const wanted = [...new URLSearchParams(search)].filter(([name]) => name !== "cursor").flatMap(([name, value]) => option(name, value));
    const extra = words === "token create" ? ["--ticket", "--qr"] : ASKS.test(words) ? ["--yes"] : [];
    return ["parlour", words, ...parts, ...first, ...named, ...wanted, ...extra].join(" ");
  }
  return null;
}

/**
 * The request as `curl` sends it. A password is not repeated.
 * @param {Asked} asked
 */
export function curl({ method, path, body }) {
  const words = ["curl -H \"Authorization: Bearer $KEY\""];
  if (path.includes("/stream")) words.push("-N");
  if (path.endsWith("/content")) words.push("-OJ");
  const data = body && JSON.stringify("password" in body ? { ...body, password: "…" } : body);
  if (data) words.push(`--json ${quoted(data)}`);
  if (method !== (data ? "POST" : "GET")) words.push(`-X ${method}`);
  return [...words, quoted(`${location.origin}${path}`)].join(" ");
}

const panel = element("how");
/** @type {Map<string, HTMLElement>} */
const shown = new Map();
const list = h("ol");
/** A page that is left tells nothing of the next one. */
let isOpen = false;

/** Begins anew, for another page. */
export function clear() {
  shown.clear();
  list.replaceChildren();
  const details = h("details", { open: isOpen }, h("summary", { text: text("how.title") }), h("p", { class: "hint", text: text("how.text") }), list);
  details.addEventListener("toggle", () => { isOpen = details.open; });
  panel.replaceChildren(details);
  panel.hidden = true;
}

/** Shows a request that the page has sent. What changes something comes first. @param {Asked} asked */
export function show(asked) {
  const key = `${asked.method} ${asked.path.replace(/[?&](cursor|from|after)=[^&]*/g, "")}`;
  shown.get(key)?.remove();
  const lines = [curl(asked), command(asked)].filter((line) => line !== null);
  const item = h("li", {}, h("code", { class: "what", text: `${asked.method} ${asked.path.split("?")[0]}` }), ...lines.map((line) => h("div", { class: "line" }, h("code", { text: line }), button(text("ui.copy"), () => {
    void navigator.clipboard?.writeText(line).then(() => say(text("ui.copied")), () => undefined);
  }, { class: "bare small", "aria-label": `${text("ui.copy")}: ${line.slice(0, 60)}` }))));
  shown.set(key, item);
  if (asked.method === "GET") list.append(item);
  else list.prepend(item);
  panel.hidden = false;
}
