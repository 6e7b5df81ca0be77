/** Each request of a page as `curl` sends it, and the command that does the same. */
import { button, element, h, say } from "./ui.js";
import { text } from "./text.js";

/** @typedef {import("./api.js").Asked} Asked */

/** The commands: a method and a path of the API, the command's words, and the member that stands without a name. */
const COMMANDS = [...`
GET /rooms room list
POST /rooms room create: name
GET /rooms/{} room get
PATCH /rooms/{} room update
DELETE /rooms/{} room delete
POST /rooms/{}/tokens token create: participant
POST /rooms/{}/tokens/revoke token revoke
POST /rooms/{}/guest-links token guest-link
GET /rooms/{}/bans ban list
PUT /rooms/{}/bans/{} ban add
DELETE /rooms/{}/bans/{} ban remove
GET /rooms/{}/lobby lobby list
POST /rooms/{}/lobby/admit lobby admit: participants
POST /rooms/{}/lobby/deny lobby deny: participants
GET /sessions session list
GET /sessions/{} session get
GET /sessions/{}/stats session stats
GET /sessions/{}/marks session marks
POST /sessions/{}/end session end
POST /sessions/{}/kick session kick: participants
POST /sessions/{}/censor session censor: participants
POST /sessions/{}/uncensor session uncensor: participants
POST /sessions/{}/messages session message: to
GET /participants participant list
GET /sessions/{}/participants/{} participant get
DELETE /sessions/{}/participants/{}/streams/{} participant unpublish
GET /recordings recording list
GET /recordings/{} recording get
DELETE /recordings/{} recording delete
GET /recordings/{}/content recording download
GET /recordings/{}/marks recording marks
POST /recordings/delete recording delete-many
GET /compositions composition list
POST /compositions composition create: session
GET /compositions/{} composition get
GET /compositions/{}/content composition download
GET /compositions/{}/marks composition marks
POST /compositions/delete composition delete-many
POST /compositions/{}/cancel composition cancel
DELETE /compositions/{} composition delete
PUT /sessions/{}/recording recording start: participants
GET /sessions/{}/recording recording status
DELETE /sessions/{}/recording recording stop
GET /webhooks webhook list
POST /webhooks webhook create: url
GET /webhooks/{} webhook get
PATCH /webhooks/{} webhook update: url
DELETE /webhooks/{} webhook delete
POST /webhooks/{}/test webhook test
POST /webhooks/{}/rotate webhook rotate
POST /webhooks/{}/replay webhook replay
GET /webhooks/{}/deliveries webhook deliveries
POST /webhooks/{}/deliveries/{}/retry webhook retry
GET /events event list
GET /events/stream event tail
GET /keys key list
POST /keys key create: id
POST /keys/{}/rotate key rotate
DELETE /keys/{} key revoke
GET /admins admin list
PUT /admins/{} admin password
DELETE /admins/{} admin delete
GET /audit audit list
POST /erasures erasure create: participant
GET /erasures erasure list
GET /server server get
GET /server/stats server stats
POST /server/drain server drain
DELETE /server/drain server end-drain
POST /server/backup server backup
`.matchAll(/^(\w+) (\S+) ([^:\n]+)(?:: (\w+))?$/gm)];
/** Commands that ask before they delete. */
const ASKS = /^(\w+ delete.*|key revoke|erasure create)$/;

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
  for (const [, its, template = "", words = "", positional = ""] of COMMANDS) {
    const found = its === method && new RegExp(`^/v1${template.replaceAll("{}", "([^/]+)")}$`).exec(plain);
    if (!found) continue;
    const parts = found.slice(1).map((part) => quoted(decodeURIComponent(part)));
    const members = words === "admin password" ? {} : body ?? {};
    const given = members[positional] ?? [];
    const first = given === "all" ? [] : [given].flat().map((value) => quoted(String(value)));
    const named = Object.entries(members).filter(([name, value]) => name !== positional || value === "all").flatMap(([name, value]) => option(name, value));
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
