/** The rooms: a list, and a new one. */
import { ask, get, query } from "./api.js";
import { filters, form } from "./forms.js";
import { live } from "./live.js";
import { badge, button, dialog, doing, empty, h, head, link, path, settled, table, time } from "./ui.js";
import { number, text, word } from "./text.js";

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const place = h("div");
  const wanted = { prefix: search.get("prefix"), state: search.get("state"), active: search.get("active") };
  const isFiltered = Object.values(wanted).some(Boolean);
  const read = async () => {
    const page = await get(`/rooms${query({ ...wanted, limit: 50 })}`);
    if (page.data.length === 0) {
      return place.replaceChildren(isFiltered ? empty(text("ui.noMatch"), text("ui.noMatchText"), link("/rooms", text("ui.showAll")))
        : empty(text("rooms.empty"), text("rooms.emptyText"), button(text("rooms.make"), make, { class: "main" })));
    }
    const list = table(text("nav.rooms"), COLUMNS, page.data);
    place.replaceChildren(list.table, more(page.next_cursor, list, (cursor) => get(`/rooms${query({ ...wanted, limit: 50, cursor })}`, { quiet: true })));
  };
  await read();
  main.append(
    head(text("nav.rooms"), { actions: [button(text("rooms.make"), make, { class: "main" })] }),
    filters([
      { name: "prefix", label: text("rooms.prefix"), kind: "search" },
      { name: "active", label: text("rooms.active"), kind: "select", options: [["", text("ui.all")], ["true", text("rooms.inUse")], ["false", text("rooms.notInUse")]] },
      { name: "state", label: text("words.state"), kind: "select", options: [["", text("ui.all")], ["enabled", word("roomState", "enabled")], ["disabled", word("roomState", "disabled")]] },
    ], search, "/rooms"),
    place,
  );
  live(query({ type: ["room.created", "room.updated", "room.deleted", "session.started", "session.ended"] }), settled(200, () => void read().catch(() => undefined)), read);
}

const COLUMNS = [
  { name: text("words.room"), cell: (/** @type {any} */ { name, title }) => h("div", {}, link(path("rooms", name), name), title ? h("div", { class: "faint", text: title }) : null) },
  { name: text("words.state"), cell: (/** @type {any} */ { state, active_session }) => active_session ? badge(text("rooms.live"), "good") : state === "disabled" ? badge(word("roomState", state), "warn") : badge(text("rooms.idle")) },
  { name: text("words.places"), cell: (/** @type {any} */ { max_participants }) => max_participants === null ? text("rooms.noLimit") : number(max_participants), class: "figure" },
  { name: text("words.lobby"), cell: (/** @type {any} */ { lobby }) => text(lobby ? "ui.yes" : "ui.no") },
  { name: text("words.made"), cell: (/** @type {any} */ { created_at }) => time(created_at) },
];

/**
 * The button for the next page of a list, if there is one.
 * @param {string | null} cursor
 * @param {{ add: (row: any) => unknown }} list
 * @param {(cursor: string) => Promise<any>} next
 */
export function more(cursor, list, next) {
  const place = h("p", { class: "more" });
  /** @param {string | null} at */
  const show = (at) => place.replaceChildren(...(at === null ? [] : [doing(text("ui.more"), async () => {
    const page = await next(at);
    for (const row of page.data) list.add(row);
    show(page.next_cursor);
  })]));
  show(cursor);
  return place;
}

/** A dialog for a new room. */
function make() {
  const fields = form([
    { name: "name", label: text("rooms.name"), hint: text("rooms.nameHint"), required: true },
    { name: "title", label: text("rooms.title"), hint: text("rooms.titleHint") },
    { name: "max_participants", label: text("rooms.max"), kind: "number", min: 1, hint: text("rooms.maxHint") },
    { name: "lobby", label: text("rooms.lobby"), kind: "check" },
  ], text("rooms.make"), async ({ name, title, max_participants, lobby }) => {
    const made = await ask("POST", "/rooms", { name, ...(title && { title }), ...(max_participants !== null && { max_participants }), ...(lobby && { lobby }) });
    shown.close();
    location.hash = path("rooms", made.name, "invite");
  });
  const shown = dialog(text("rooms.make"), fields);
}
