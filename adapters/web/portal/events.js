/** The journal: what happened, and what happens now. */
import { get, query } from "./api.js";
import { filters } from "./forms.js";
import { live } from "./live.js";
import { more } from "./rooms.js";
import { button, empty, h, head, link, path, table, time, wantedOf } from "./ui.js";
import { text } from "./text.js";

/** The types that can be chosen; others can be in the address. */
export const TYPES = [
  "participant.joined", "participant.left", "participant.refused", "participant.waiting", "participant.reconnecting", "participant.resumed", "participant.censored", "participant.uncensored",
  "participant.grants_changed", "participant.banned", "participant.unbanned", "room.created", "room.updated", "room.deleted", "server.draining", "server.overloaded", "server.recovered", "server.started",
  "session.ended", "session.started", "stream.muted", "stream.published", "stream.unmuted", "stream.unpublished", "tokens.revoked",
];
/** Rows of the live list; older ones can be read as pages. */
const MOST = 500;

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const wanted = wantedOf(search, "type", "room", "session");
  const place = h("div");
  let held = false;
  /** @type {any[]} */
  let kept = [];
  const page = await get(`/events${query({ ...wanted, limit: 50 })}`);
  let newest = page.data[0]?.seq ?? 0;
  const list = table(text("nav.events"), [
    { name: text("events.seq"), cell: ({ seq }) => `${seq}`, class: "figure" },
    { name: text("words.time"), cell: ({ at }) => time(at) },
    { name: text("events.type"), cell: ({ type }) => h("code", { text: type }) },
    { name: text("words.room"), cell: ({ room }) => room ? link(path("rooms", room), room) : "–" },
    { name: text("words.participant"), cell: ({ participant }) => participant ? link(`/participants?participant=${encodeURIComponent(participant)}`, participant) : "–" },
    { name: text("events.data"), cell: ({ data }) => Object.keys(data ?? {}).length === 0 ? "–" : h("details", {}, h("summary", { text: summary(data) }), h("pre", { tabindex: "0", text: JSON.stringify(data, null, 2) })) },
  ], page.data);
  const nothing = empty(text(Object.values(wanted).some(Boolean) ? "ui.noMatch" : "events.empty"), text("events.emptyText"));
  place.append(page.data.length ? list.table : nothing, more(page.next_cursor, list, (cursor) => get(`/events${query({ ...wanted, limit: 50, cursor })}`, { quiet: true })));
  /** @param {any} event */
  const add = (event) => {
    if (event.seq <= newest) return;
    newest = event.seq;
    nothing.replaceWith(list.table);
    list.add(event, true).classList.add("new");
    if (list.body.childElementCount > MOST) list.body.lastElementChild?.remove();
  };
  const hold = button(text("events.hold"), () => {
    held = !held;
    hold.textContent = text(held ? "events.goOn" : "events.hold");
    hold.setAttribute("aria-pressed", String(held));
    kept.forEach(add);
    kept = [];
  }, { "aria-pressed": "false" });
  main.append(head(text("nav.events"), { actions: [hold] }), filters([
    { name: "type", label: text("events.type"), kind: "select", options: [["", text("ui.all")], ...TYPES.map((type) => /** @type {[string, string]} */ ([type, type]))] },
    { name: "room", label: text("words.room"), kind: "search" },
    { name: "session", label: text("words.session"), kind: "search" },
  ], search, "/events"), place);
  // From the list's end on, so that nothing falls between the two.
  live(query({ ...wanted, after: newest || null }), (event) => held ? kept.push(event) : add(event));
}

/** @param {any} data */
const summary = (data) => Object.entries(data).slice(0, 2).map(([name, value]) => `${name}: ${typeof value === "object" ? "…" : String(value).slice(0, 40)}`).join(", ");
