/** Recordings: a list to search and tidy up, and one of them to listen to. */
import { ask, get, query } from "./api.js";
import { filters, stateFilter } from "./forms.js";
import { show } from "./how.js";
import { follow, live } from "./live.js";
import { player } from "./player.js";
import { ROOM, showList } from "./rooms.js";
import { badge, confirm, doing, facts, h, head, link, path, section, settled, table, time, wantedOf } from "./ui.js";
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
  const wanted = wantedOf(search, "room", "session", "participant", "state");
  const read = async () => { remove.hidden = await showList(place, "/recordings", wanted, columns(true)) === 0; };
  const remove = deleteAll("/recordings", wanted, COMPLETE);
  await read();
  main.append(head(text("nav.recordings"), { actions: [remove] }), filters([
    { name: "room", label: text("words.room"), kind: "search" },
    { name: "participant", label: text("words.participant"), kind: "search" },
    stateFilter("recordingState", Object.keys(TONES)),
  ], search, "/recordings"), place);
  live(query({ type: EVENTS }), settled(200, read), read);
}

/** A table of recordings. @param {any[]} recordings */
export const recordingTable = (recordings) => table(text("nav.recordings"), columns(), recordings);

/** @returns {import("./ui.js").Column<any>[]} */
const columns = (withRoom = false) => [
  { name: text("words.started"), cell: ({ id, started_at }) => h("a", { href: `#${path("recordings", id)}` }, time(started_at)) },
  ...(withRoom ? [ROOM] : []),
  { name: text("words.participant"), cell: ({ participant, stream }) => h("div", {}, h("code", { text: participant }), h("div", { class: "faint", text: stream })) },
  { name: text("words.state"), cell: stateOf },
  { name: text("words.length"), cell: ({ duration_ms }) => span(duration_ms), class: "figure" },
  { name: text("server.size"), cell: ({ size: bytes }) => size(bytes), class: "figure" },
];

/**
 * A button that deletes all that a filter shows, after it has asked with their number.
 * @param {string} list
 * @param {Record<string, string | null>} wanted
 * @param {string[]} complete Their states, if the filter names none.
 */
export const deleteAll = (list, { state, ...others }, complete) => doing(text("recordings.deleteAll"), async () => {
  const given = Object.entries(others).filter(([, value]) => value).map(([name, value]) => [name, [value]]);
  const filter = { ...Object.fromEntries(given), state: state ? [state] : complete };
  const { deleted, bytes } = await ask("POST", `${list}/delete`, { filter, dry_run: true }, { quiet: true });
  confirm(text("recordings.deleteAll"), text("recordings.deleteAllText", { count: deleted, size: size(bytes) }), text("recordings.delete"), () => ask("POST", `${list}/delete`, { filter, expected: deleted }));
}, { class: "away" });

/**
 * What is known of a recording or composition.
 * @param {any} one
 * @param {[string, Node | string][]} own What the other does not have.
 */
export const known = ({ room, session, ended_at, duration_ms, size: bytes, expires_at }, own) => facts([
  [text("words.room"), link(path("rooms", room), room)], [text("words.session"), link(path("sessions", session), `${session.slice(0, 8)}…`)], ...own, [text("words.ended"), time(ended_at)],
  [text("words.length"), span(duration_ms)], [text("server.size"), size(bytes)], [text("recordings.expires"), expires_at ? time(expires_at) : text("recordings.never")],
]);

/** @param {HTMLElement} main @param {string[]} parts */
export async function renderOne(main, [id = ""]) {
  const at = path("recordings", id);
  const mark = h("span"), about = h("div"), sound = h("div", { class: "sound" });
  const remove = doing(text("recordings.delete"), async () => confirm(text("recordings.delete"), text("recordings.deleteText"), text("recordings.delete"), async () => {
    await ask("DELETE", at);
    location.hash = "/recordings";
  }), { class: "away" });
  const compose = h("a", { class: "button", text: text("recordings.compose") });
  let shown = "";
  const read = async (quiet = true) => {
    const recording = await get(at, { quiet });
    const { session, participant, stream, codec, container, state, error, sha256 } = recording;
    const isThere = COMPLETE.includes(state) && sha256 !== null;
    mark.replaceChildren(stateOf(recording));
    remove.hidden = !COMPLETE.includes(state);
    compose.hidden = !COMPOSABLE.includes(state);
    compose.setAttribute("href", `#/compositions/new${query({ session })}`);
    about.replaceChildren(known(recording, [
      [text("words.participant"), h("code", { text: participant })], [text("recordings.stream"), `${stream} · ${codec}`], [text("words.started"), time(recording.started_at)],
      [text("recordings.lost"), share(recording, "lost_ms")], [text("recordings.silent"), share(recording, "silent_ms")],
      ...(error ? [/** @type {[string, string]} */ ([text("recordings.error"), word("recordingError", error)])] : []),
    ]));
    // Who listens is not interrupted by what changes nothing.
    if (shown === state) return recording;
    shown = state;
    const src = `/v1${at}/content`;
    if (isThere) show({ method: "GET", path: src });
    sound.replaceChildren(...isThere ? [
      player({ of: at, label: text("recordings.play", { name: participant }), duration_ms: recording.duration_ms ?? 0, size: recording.size ?? 0 }),
      h("p", {}, h("a", { href: src, download: `${id}.${container === "wav" ? "wav" : "opus"}`, text: text("recordings.download") })),
    ] : [h("p", { class: "hint", text: text(state === "failed" ? "recordings.nothing" : "recordings.notYet") })]);
    return recording;
  };
  const first = await read(false);
  main.append(head(text("recordings.one", { name: first.participant }), { over: link("/recordings", text("nav.recordings")), badge: mark, actions: [compose, remove] }),
    section(text("recordings.sound"), sound), about, h("p", { class: "hint" }, h("code", { text: id })));
  follow("recording", first, EVENTS, read);
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
