/** Compositions: the recordings of a session as one file. A list, how far each is, and one of them to play. */
import { ask, get, query } from "./api.js";
import { filters, stateFilter } from "./forms.js";
import { show } from "./how.js";
import { every, follow, live } from "./live.js";
import { player } from "./player.js";
import { deleteAll, known } from "./recordings.js";
import { more, ROOM } from "./rooms.js";
import { badge, confirm, doing, emptyList, h, head, link, path, section, settled, table, time, wantedOf } from "./ui.js";
import { position, size, span, text, word } from "./text.js";

/** What tells of compositions. Nothing tells that one is asked for, begun, cancelled, or how far it is. */
export const EVENTS = ["composition.ready", "composition.failed", "composition.deleted"];
const TONES = /** @type {const} */ ({ queued: "warn", running: "warn", ready: "good", failed: "bad", cancelled: "" });
const UNDER_WAY = ["queued", "running"], OVER = ["ready", "failed", "cancelled"];
/** Errors of which the program's own words say more. */
const DETAILED = ["compose-failed", "crashed", "write-failed"];
/** Formats with a picture. */
export const PICTURES = ["mp4", "webm"];

/** @param {any} composition */
const stateOf = ({ state }) => badge(word("compositionState", state), TONES[/** @type {keyof typeof TONES} */ (state)] ?? "");

/** How far one is. @param {any} composition */
function far({ state, progress }) {
  if (state !== "running") return [];
  return [h("progress", { max: 100, value: progress, "aria-label": text("compositions.progress") }), h("span", { class: "figure", text: `${progress} %` })];
}

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const wanted = wantedOf(search, "room", "session", "state");
  const nothing = () => emptyList("/compositions", wanted, link("/compositions/new", text("compositions.make"), { class: "button" }));
  const list = compositionList(wanted, nothing, true), remove = deleteAll("/compositions", wanted, OVER);
  const read = async (quiet = true) => { remove.hidden = await list.read(quiet) === 0 || UNDER_WAY.includes(wanted.state ?? ""); };
  await read(false);
  main.append(head(text("nav.compositions"), { actions: [remove, link("/compositions/new", text("compositions.make"), { class: "button main" })] }), filters([
    { name: "room", label: text("words.room"), kind: "search" },
    stateFilter("compositionState", Object.keys(TONES)),
  ], search, "/compositions"), list.place);
  live(query({ type: EVENTS }), settled(200, read), read);
  every(2_000, read);
}

/** How many a list shows at first, and at most when it is read again. */
const PAGE = 50, MOST = 200;

/**
 * A list that is read again and again: while it has the same entries, only what has changed of them is written anew.
 * @param {Record<string, any>} wanted
 * @param {() => HTMLElement} nothing What stands there without any.
 * @param {boolean} [withRoom]
 */
export function compositionList(wanted, nothing, withRoom = false) {
  const place = h("div");
  /** What changes of each: the writing of it, and whether more is to come. @type {Map<string, { write: (one: any) => void, state: string }>} */
  const rows = new Map();
  let shown = "", asked = 0, answered = 0;
  /** @param {any} one @param {string} name @param {(one: any) => (Node | string)[]} content */
  const cell = (one, name, content) => {
    const made = h("span", { class: name }, ...content(one)), former = rows.get(one.id)?.write;
    rows.set(one.id, { state: one.state, write: (now) => {
      former?.(now);
      made.replaceChildren(...content(now));
    } });
    return made;
  };
  const read = async (quiet = true) => {
    const mine = ++asked;
    const { data, next_cursor } = await get(`/compositions${query({ ...wanted, limit: Math.min(MOST, Math.max(PAGE, rows.size)) })}`, { quiet });
    // An answer that was overtaken tells what was before.
    if (mine < answered) return rows.size;
    answered = mine;
    const now = JSON.stringify(data.map((/** @type {any} */ { id }) => id));
    if (shown === now) {
      for (const one of data) {
        const row = rows.get(one.id);
        row?.write(one);
        if (row) row.state = one.state;
      }
      return rows.size;
    }
    shown = now;
    rows.clear();
    if (data.length === 0) {
      place.replaceChildren(nothing());
      return 0;
    }
    const list = table(text("nav.compositions"), [
      { name: text("compositions.asked"), cell: ({ id, created_at }) => h("a", { href: `#${path("compositions", id)}` }, time(created_at)) },
      ...(withRoom ? [ROOM] : []),
      { name: text("compositions.kind"), cell: (one) => h("div", {}, word("format", one.format), h("div", { class: "faint", text: kindOf(one) })) },
      { name: text("words.state"), cell: (one) => cell(one, "progress", (now) => [stateOf(now), ...far(now)]) },
      { name: text("words.length"), cell: (one) => cell(one, "", ({ duration_ms }) => [span(duration_ms)]), class: "figure" },
      { name: text("server.size"), cell: (one) => cell(one, "", ({ size: bytes }) => [size(bytes)]), class: "figure" },
    ], data);
    place.replaceChildren(list.table, more(next_cursor, list, (cursor) => get(`/compositions${query({ ...wanted, limit: PAGE, cursor })}`, { quiet: true })));
    return rows.size;
  };
  return { place, read, isUnderWay: () => [...rows.values()].some(({ state }) => UNDER_WAY.includes(state)) };
}

/** How the sound, or the picture, is arranged. @param {any} composition */
const kindOf = ({ audio, video }) => video ? word("layout", video.layout) : word("mode", audio.mode);

/** Who is on a side. @param {any} side */
const sideOf = (side) => Array.isArray(side) ? side.join(", ") : word("side", side);

/** The part of the session, as it was asked for. @param {any} composition */
const partOf = ({ asked: { from_ms, to_ms } }) => from_ms === null && to_ms === null ? text("compositions.whole") : text("compositions.part", { from: position(from_ms ?? 0), to: to_ms === null ? text("compositions.end") : position(to_ms) });

/** @param {HTMLElement} main @param {string[]} parts */
export async function renderOne(main, [id = ""]) {
  const at = path("compositions", id);
  const mark = h("span"), about = h("div"), result = h("div", { class: "sound" });
  const again = doing(text("compositions.again"), async () => {
    const { session, format, audio, video, asked } = await get(at, { quiet: true });
    const given = Object.entries({ video, ...asked }).filter(([, value]) => value !== null);
    const made = await ask("POST", "/compositions", { session, format, audio, ...Object.fromEntries(given) });
    location.hash = path("compositions", made.id);
  }, { class: "main" });
  const cancel = doing(text("compositions.cancel"), async () => {
    await ask("POST", `${at}/cancel`);
    await read();
  });
  const remove = doing(text("compositions.delete"), async () => confirm(text("compositions.delete"), text("compositions.deleteText"), text("compositions.delete"), async () => {
    await ask("DELETE", at);
    location.hash = "/compositions";
  }), { class: "away" });
  const bar = h("p", { class: "progress under-way" });
  let shown = "", asked = 0, answered = 0;
  const read = async (quiet = true) => {
    const mine = ++asked;
    const one = await get(at, { quiet });
    if (mine < answered) return one;
    answered = mine;
    const { room, format, audio, video, state, error } = one;
    bar.replaceChildren(...far(one));
    // Who listens is not interrupted by what changes nothing.
    if (shown === state) return one;
    shown = state;
    mark.replaceChildren(stateOf(one));
    again.hidden = !["failed", "cancelled"].includes(state);
    cancel.hidden = !UNDER_WAY.includes(state);
    about.replaceChildren(known(one, [
      [text("compositions.format"), word("format", format)], [text("recordings.sound"), audio.mode === "dual" ? text("compositions.sides", { left: sideOf(audio.left), right: sideOf(audio.right) }) : word("mode", audio.mode)],
      ...(video ? [/** @type {[string, string]} */ ([text("compositions.picture"), text("compositions.figures", { layout: word("layout", video.layout), width: video.width, height: video.height, fps: video.fps })])] : []),
      [text("compositions.of"), partOf(one)], [text("compositions.asked"), time(one.created_at)],
    ]));
    const src = `/v1${at}/content`;
    if (state === "ready") show({ method: "GET", path: src });
    result.replaceChildren(...state === "ready" ? [
      player({ of: at, label: text("compositions.one", { room }), duration_ms: one.duration_ms, size: one.size, picture: PICTURES.includes(format) }),
      h("p", {}, h("a", { href: src, download: `${id}.${format}`, text: text("recordings.download") })),
    ] : error ? [h("p", { class: "notice", text: word("compositionError", error.code) }), DETAILED.includes(error.code) ? h("pre", { tabindex: "0", text: error.detail }) : ""]
      : [h("p", { class: "hint", text: text(`compositions.${state}`) }), bar]);
    return one;
  };
  const first = await read(false);
  main.append(head(text("compositions.one", { room: first.room }), { over: link("/compositions", text("nav.compositions")), badge: mark, actions: [again, cancel, remove] }),
    section(text("compositions.result"), result), about, h("p", { class: "hint" }, h("code", { text: id })));
  const reread = follow("composition", first, EVENTS, read);
  every(1_000, async () => { if (UNDER_WAY.includes(shown)) await reread(); });
}
