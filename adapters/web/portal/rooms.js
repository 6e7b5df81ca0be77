/** The rooms: a list, and a new one. */
import { ask, get, query } from "./api.js";
import { filters, form, stateFilter } from "./forms.js";
import { live } from "./live.js";
import { badge, button, dialog, doing, emptyList, h, head, link, path, settled, table, time, wantedOf } from "./ui.js";
import { number, text, word } from "./text.js";

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const place = h("div");
  const wanted = wantedOf(search, "prefix", "state", "active");
  const read = () => showList(place, "/rooms", wanted, COLUMNS, button(text("rooms.make"), make, { class: "main" }));
  await read();
  main.append(
    head(text("nav.rooms"), { actions: [button(text("rooms.make"), make, { class: "main" })] }),
    filters([
      { name: "prefix", label: text("rooms.prefix"), kind: "search" },
      { name: "active", label: text("rooms.active"), kind: "select", options: [["", text("ui.all")], ["true", text("rooms.inUse")], ["false", text("rooms.notInUse")]] },
      stateFilter("roomState", ["enabled", "disabled"]),
    ], search, "/rooms"),
    place,
  );
  live(query({ type: ["room.created", "room.updated", "room.deleted", "session.started", "session.ended"] }), settled(200, read), read);
}

const COLUMNS = [
  { name: text("words.room"), cell: (/** @type {any} */ { name, title }) => h("div", {}, link(path("rooms", name), name), title ? h("div", { class: "faint", text: title }) : null) },
  { name: text("words.state"), cell: (/** @type {any} */ { state, active_session }) => active_session ? badge(text("rooms.live"), "good") : state === "disabled" ? badge(word("roomState", state), "warn") : badge(text("rooms.idle")) },
  { name: text("words.places"), cell: (/** @type {any} */ { max_participants }) => max_participants === null ? text("rooms.noLimit") : number(max_participants), class: "figure" },
  { name: text("words.lobby"), cell: (/** @type {any} */ { lobby }) => text(lobby ? "ui.yes" : "ui.no") },
  { name: text("words.made"), cell: (/** @type {any} */ { created_at }) => time(created_at) },
];

/** Columns that several tables have. @type {import("./ui.js").Column<any>} */
export const ROOM = { name: text("words.room"), cell: ({ room }) => link(path("rooms", room), room) };
/** @type {import("./ui.js").Column<any>} */
export const NAME = { name: text("words.name"), cell: ({ name, participant }) => h("div", {}, link(`/participants?participant=${encodeURIComponent(participant)}`, name || participant), name && name !== participant ? h("div", {}, h("code", { class: "faint", text: participant })) : null) };

/**
 * Shows the first page of a list, and a button for the next one. Gives how many are shown.
 * @param {HTMLElement} place
 * @param {string} at The list's path, which is that of its page, too.
 * @param {Record<string, string | null>} wanted
 * @param {import("./ui.js").Column<any>[]} columns
 * @param {HTMLElement} [action] How to get one, if there is none.
 */
export async function showList(place, at, wanted, columns, action) {
  /** @param {string | null} cursor */
  const page = (cursor) => get(`${at}${query({ ...wanted, limit: 50, cursor })}`, { quiet: cursor !== null });
  const { data, next_cursor } = await page(null), list = table(text(`nav.${at.slice(1)}`), columns, data);
  place.replaceChildren(...data.length ? [list.table, more(next_cursor, list, page)] : [emptyList(at, wanted, action)]);
  return data.length;
}

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
