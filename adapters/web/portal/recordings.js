/** Recordings: a list to search and tidy up, and one of them to listen to. */
import { ask, get, query, unlessGone } from "./api.js";
import { filters } from "./forms.js";
import { show } from "./how.js";
import { live } from "./live.js";
import { player } from "./player.js";
import { more } from "./rooms.js";
import { badge, confirm, doing, empty, facts, h, head, link, path, section, settled, table, time } from "./ui.js";
import { number, size, span, text, word } from "./text.js";

/** What tells of recordings. */
export const EVENTS = ["recording.started", "recording.ready", "recording.failed", "recording.deleted"];
/** Those that can be deleted. */
const COMPLETE = ["ready", "failed"];
/** Those that a composition is made of. */
export const COMPOSABLE = ["ready", "storing"];
const TONES = /** @type {const} */ ({ recording: "warn", storing: "", ready: "good", failed: "bad" });

/** @param {any} recording */
const stateOf = ({ state }) => badge(word("recordingState", state), TONES[/** @type {keyof typeof TONES} */ (state)] ?? "");

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const place = h("div");
  const wanted = { room: search.get("room"), session: search.get("session"), participant: search.get("participant"), state: search.get("state") };
  const isFiltered = Object.values(wanted).some(Boolean);
  const read = async () => {
    const page = await get(`/recordings${query({ ...wanted, limit: 50 })}`);
    remove.hidden = page.data.length === 0;
    if (page.data.length === 0) {
      return place.replaceChildren(isFiltered ? empty(text("ui.noMatch"), text("ui.noMatchText"), link("/recordings", text("ui.showAll"))) : empty(text("recordings.empty"), text("recordings.emptyText"), link("/rooms", text("overview.toRooms"), { class: "button" })));
    }
    const list = recordingTable(page.data, true);
    place.replaceChildren(list.table, more(page.next_cursor, list, (cursor) => get(`/recordings${query({ ...wanted, limit: 50, cursor })}`, { quiet: true })));
  };
  const remove = doing(text("recordings.deleteAll"), () => deleteAll(wanted), { class: "away" });
  await read();
  main.append(head(text("nav.recordings"), { actions: [remove] }), filters([
    { name: "room", label: text("words.room"), kind: "search" },
    { name: "participant", label: text("words.participant"), kind: "search" },
    { name: "state", label: text("words.state"), kind: "select", options: [["", text("ui.all")], ...Object.keys(TONES).map((state) => /** @type {[string, string]} */ ([state, word("recordingState", state)]))] },
  ], search, "/recordings"), place);
  live(query({ type: EVENTS }), settled(200, () => void read().catch(() => undefined)), read);
}

/**
 * A table of recordings.
 * @param {any[]} recordings
 * @param {boolean} [withRoom]
 */
export function recordingTable(recordings, withRoom = false) {
  return table(text("nav.recordings"), [
    { name: text("words.started"), cell: ({ id, started_at }) => h("a", { href: `#${path("recordings", id)}` }, time(started_at)) },
    ...(withRoom ? [{ name: text("words.room"), cell: (/** @type {any} */ { room }) => link(path("rooms", room), room) }] : []),
    { name: text("words.participant"), cell: ({ participant, stream }) => h("div", {}, h("code", { text: participant }), h("div", { class: "faint", text: stream })) },
    { name: text("words.state"), cell: stateOf },
    { name: text("words.length"), cell: ({ duration_ms }) => duration_ms === null ? "–" : span(duration_ms), class: "figure" },
    { name: text("server.size"), cell: ({ size: bytes }) => bytes === null ? "–" : size(bytes), class: "figure" },
  ], recordings);
}

/**
 * Asks with the number before it deletes all that the filter shows.
 * @param {Record<string, string | null>} wanted
 */
async function deleteAll({ state, ...others }) {
  const given = Object.entries(others).filter(([, value]) => value).map(([name, value]) => [name, [value]]);
  const filter = { ...Object.fromEntries(given), state: state ? [state] : COMPLETE };
  const { deleted, bytes } = await ask("POST", "/recordings/delete", { filter, dry_run: true }, { quiet: true });
  confirm(text("recordings.deleteAll"), text("recordings.deleteAllText", { count: deleted, size: size(bytes) }), text("recordings.delete"), () => ask("POST", "/recordings/delete", { filter }));
}

/** @param {HTMLElement} main @param {string[]} parts */
export async function renderOne(main, [id = ""]) {
  const at = path("recordings", id);
  const mark = h("span"), known = h("div"), sound = h("div", { class: "sound" });
  const remove = doing(text("recordings.delete"), async () => confirm(text("recordings.delete"), text("recordings.deleteText"), text("recordings.delete"), async () => {
    await ask("DELETE", at);
    location.hash = "/recordings";
  }), { class: "away" });
  const compose = h("a", { class: "button", text: text("recordings.compose") });
  let shown = "";
  const read = async (quiet = true) => {
    const recording = await get(at, { quiet });
    const { room, session, participant, stream, codec, container, state, error, sha256 } = recording;
    const isThere = COMPLETE.includes(state) && sha256 !== null;
    mark.replaceChildren(stateOf(recording));
    remove.hidden = !COMPLETE.includes(state);
    compose.hidden = !COMPOSABLE.includes(state);
    compose.setAttribute("href", `#/compositions/new${query({ session })}`);
    known.replaceChildren(facts([
      [text("words.room"), link(path("rooms", room), room)], [text("words.session"), link(path("sessions", session), `${session.slice(0, 8)}…`)], [text("words.participant"), h("code", { text: participant })],
      [text("recordings.stream"), `${stream} · ${codec}`], [text("words.started"), time(recording.started_at)], [text("words.ended"), time(recording.ended_at)],
      [text("words.length"), recording.duration_ms === null ? "–" : span(recording.duration_ms)], [text("recordings.lost"), share(recording, "lost_ms")], [text("recordings.silent"), share(recording, "silent_ms")],
      [text("server.size"), recording.size === null ? "–" : size(recording.size)], [text("recordings.expires"), recording.expires_at ? time(recording.expires_at) : text("recordings.never")],
      ...(error ? [/** @type {[string, string]} */ ([text("recordings.error"), word("recordingError", error)])] : []),
    ]));
    // Who listens is not interrupted by what changes nothing.
    if (shown === state) return recording;
    shown = state;
    const src = `/v1${at}/content`;
    if (isThere) show({ method: "GET", path: src });
    sound.replaceChildren(...isThere ? [
      player({ src, label: text("recordings.play", { name: participant }), duration_ms: recording.duration_ms ?? 0, size: recording.size ?? 0 }),
      h("p", {}, h("a", { href: src, download: `${id}.${container === "wav" ? "wav" : "opus"}`, text: text("recordings.download") })),
    ] : [h("p", { class: "hint", text: text(state === "failed" ? "recordings.nothing" : "recordings.notYet") })]);
    return recording;
  };
  const first = await read(false);
  main.append(head(text("recordings.one", { name: first.participant }), { over: link("/recordings", text("nav.recordings")), badge: mark, actions: [compose, remove] }),
    section(text("recordings.sound"), sound), known, h("p", { class: "hint" }, h("code", { text: id })));
  const reread = unlessGone(read, "/recordings");
  const again = settled(200, () => void reread().catch(() => undefined));
  live(query({ session: first.session, type: EVENTS }), ({ type, data }) => {
    // There is nothing left to read, whoever has deleted it.
    if (type === "recording.deleted" && data.recording.id === id) location.hash = "/recordings";
    else again();
  }, reread);
}

/**
 * A part of a recording, by its time and in percent.
 * @param {any} recording
 * @param {"lost_ms" | "silent_ms"} part
 */
function share(recording, part) {
  const { [part]: ms, duration_ms: all } = recording;
  return ms === null ? "–" : `${span(ms)} · ${number(all ? 100 * ms / all : 0)} %`;
}
