/** Sessions, present and past, and what happened in one of them. */
import { ask, get, query } from "./api.js";
import { compositionList, EVENTS as COMPOSITION_EVENTS } from "./compositions.js";
import { filters } from "./forms.js";
import { every, live } from "./live.js";
import { EVENTS, recordingTable } from "./recordings.js";
import { bars, note, spoken } from "./marks.js";
import { NAME, ROOM, showList } from "./rooms.js";
import { badge, button, confirm, empty, facts, h, head, link, path, section, settled, table, time, wantedOf } from "./ui.js";
import { clockTime, number, span, text, word } from "./text.js";

/** People of whom the timeline tells. */
const PEOPLE = 100;

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const place = h("div");
  const wanted = wantedOf(search, "room", "state", "participant");
  const read = () => showList(place, "/sessions", wanted, [
    { name: text("words.started"), cell: ({ id, started_at }) => h("a", { href: `#${path("sessions", id)}` }, time(started_at)) },
    ROOM,
    { name: text("words.state"), cell: ({ state, end_reason }) => state === "active" ? badge(text("rooms.live"), "good") : badge(word("endReason", end_reason)) },
    { name: text("words.length"), cell: lengthOf, class: "figure" },
    { name: text("sessions.peak"), cell: ({ peak_participants }) => number(peak_participants), class: "figure" },
    { name: text("sessions.uniques"), cell: ({ unique_participants }) => number(unique_participants), class: "figure" },
  ]);
  await read();
  main.append(head(text("nav.sessions")), filters([
    { name: "room", label: text("words.room"), kind: "search" },
    { name: "participant", label: text("words.participant"), kind: "search" },
    { name: "state", label: text("words.state"), kind: "select", options: [["", text("ui.all")], ["active", text("rooms.live")], ["ended", text("sessions.ended")]] },
  ], search, "/sessions"), place);
  live(query({ type: ["session.started", "session.ended"] }), settled(200, read), read);
}

/** @param {any} session */
const lengthOf = ({ started_at, ended_at }) => span((ended_at ? Date.parse(ended_at) : Date.now()) - Date.parse(started_at));

/** @param {HTMLElement} main @param {string[]} parts */
export async function renderOne(main, [id = ""]) {
  const session = await get(path("sessions", id));
  const line = h("div"), people = h("div"), recorded = h("div", { class: "page" }), mark = h("span"), known = h("div");
  const end = button(text("room.end"), () => confirm(text("room.end"), text("room.endText"), text("room.end"), () => ask("POST", `${path("sessions", id)}/end`)), { class: "away" });
  const composed = compositionList({ session: id }, () => h("p", { class: "hint", text: text("compositions.none") }));
  const compositions = section(text("nav.compositions"), composed.place, h("p", {}, link(`/compositions/new${query({ session: id })}`, text("compositions.make"), { class: "button" })));
  const compose = async (quiet = true) => { compositions.hidden = await composed.read(quiet) === 0 && recorded.childElementCount === 0; };
  const read = async (quiet = true) => {
    const [now, sounds, present, marks] = await Promise.all([get(path("sessions", id), { quiet: true }), get(`/recordings${query({ session: id, limit: 50, order: "asc" })}`, { quiet: true }), get(`/participants${query({ session: id, limit: PEOPLE, order: "asc" })}`, { quiet }), get(`${path("sessions", id)}/marks`, { quiet }).catch(() => ({ data: [] }))]);
    const details = await inTurns(present.data.map((/** @type {any} */ { participant }) => () => get(`${path("sessions", id)}/participants/${encodeURIComponent(participant)}`, { quiet: true })));
    end.hidden = now.state !== "active";
    mark.replaceChildren(now.state === "active" ? badge(text("rooms.live"), "good") : badge(word("endReason", now.end_reason)));
    known.replaceChildren(facts([
      [text("words.room"), link(path("rooms", now.room), now.room)], [text("words.started"), time(now.started_at)], [text("words.ended"), time(now.ended_at)],
      [text("words.length"), lengthOf(now)], [text("sessions.peak"), number(now.peak_participants)], [text("sessions.uniques"), number(now.unique_participants)],
    ]));
    recorded.replaceChildren(...sounds.data.length === 0 ? [] : [
      section(text("nav.recordings"), recordingTable(sounds.data).table, sounds.next_cursor ? h("p", {}, link(`/recordings?session=${id}`, text("ui.showAll"))) : ""),
    ]);
    line.replaceChildren(timeline(now, details, marks.data), marks.data.length ? note(marks.data) : h("p", { class: "hint", text: text("marks.unrecorded") }), present.next_cursor ? h("p", { class: "hint", text: text("sessions.first", { count: PEOPLE }) }) : "");
    people.replaceChildren(table(text("room.people"), [
      NAME,
      { name: text("words.state"), cell: ({ state }) => badge(word("presence", state), state === "connected" ? "good" : "") },
      { name: text("words.joined"), cell: ({ joined_at }) => time(joined_at) },
      { name: text("words.left"), cell: ({ left_at }) => time(left_at) },
      ...(marks.data.length ? [{ name: text("marks.spoke"), cell: (/** @type {any} */ { participant }) => ofPerson(marks.data, participant).map(spoken)[0] ?? "–", class: "figure" }] : []),
      { name: text("sessions.reason"), cell: ({ stays }) => word("leftReason", stays?.at(-1)?.reason ?? null) },
      { name: text("sessions.quality"), cell: ({ stats }) => stats ? text("sessions.figures", { quality: stats.quality, loss: number(stats.uplink_loss * 100), trip: stats.round_trip_ms ?? "–" }) : "–" },
    ], details).table);
  };
  await read(false);
  await compose(false);
  const events = await get(`/events${query({ session: id, limit: 100, order: "asc" })}`);
  main.append(head(text("sessions.one", { room: session.room }), { over: link("/sessions", text("nav.sessions")), badge: mark, actions: [end] }), known,
    section(text("sessions.timeline"), line), section(text("room.people"), people), recorded, compositions,
    section(text("nav.events"), eventList(events.data), h("p", {}, link(`/events?session=${id}`, text("sessions.allEvents")))), h("p", { class: "hint" }, h("code", { text: id })));
  const [again, composeAgain] = [read, compose].map((act) => settled(300, act));
  live(query({ session: id, type: session.state === "active" ? [] : [...EVENTS, ...COMPOSITION_EVENTS] }), ({ type }) => type.startsWith("composition.") ? composeAgain?.() : again?.(), async () => {
    await read();
    await compose();
  });
  // No event tells how far one is, nor that one is asked for.
  every(2_000, async () => { if (composed.isUnderWay()) await compose(); });
  every(10_000, compose);
}

/**
 * Some at a time, so that a session of many people is no flood of requests.
 * @param {(() => Promise<any>)[]} asks
 */
async function inTurns(asks) {
  const answers = [];
  for (let n = 0; n < asks.length; n += 8) answers.push(...await Promise.all(asks.slice(n, n + 8).map((ask) => ask())));
  return answers;
}

/** What happened, line by line. @param {any[]} events */
export const eventList = (events) => h("ol", { class: "log", tabindex: "0", "aria-label": text("nav.events") }, ...events.map((event) => h("li", {}, time(event.at), h("code", { text: event.type }), h("span", { text: event.participant ?? "" }))));

/** @typedef {import("./marks.js").Marks} Marks */

/** What is known of one of them. @param {Marks[]} marks @param {string} id */
const ofPerson = (marks, id) => marks.filter(({ participant }) => participant === id);

/**
 * Stays, streams and speech over the time of a session. The table below says the same to those who do not see it.
 * @param {any} session
 * @param {any[]} people
 * @param {Marks[]} marks
 */
function timeline(session, people, marks) {
  const from = Date.parse(session.started_at), to = session.ended_at ? Date.parse(session.ended_at) : Date.now(), whole = Math.max(1, to - from);
  /** @param {string} kind @param {string} start @param {string | null} end @param {string} title */
  const bar = (kind, start, end, title) => {
    const made = h("i", { class: kind, title: `${title}: ${clockTime(start)} – ${end ? clockTime(end) : text("sessions.now")}` });
    const begin = Math.max(0, Date.parse(start) - from) / whole;
    made.style.left = `${100 * begin}%`;
    made.style.width = `${Math.max(.4, 100 * (Math.min(1, ((end ? Date.parse(end) : to) - from) / whole) - begin))}%`;
    return made;
  };
  const rows = people.map(({ name, participant, stays, streams }) => h("li", {}, h("span", { class: "name", text: name || participant }), h("span", { class: "track" },
    ...(stays ?? []).map((/** @type {any} */ stay) => bar("stay", stay.joined_at, stay.left_at, text("sessions.stay"))),
    ...(streams ?? []).map((/** @type {any} */ stream) => bar(`stream-bar ${stream.kind === "audio" ? "" : "picture"}`, stream.published_at, stream.unpublished_at, word("kind", stream.kind))),
    ...ofPerson(marks, participant).map((one) => bars(one, whole)))));
  if (rows.length === 0) return empty(text("sessions.nobody"), text("sessions.nobodyText"));
  return h("div", { class: "timeline", role: "img", "aria-label": text("sessions.timelineLabel", { count: rows.length }) }, h("ol", {}, ...rows),
    h("p", { class: "scale" }, h("span", { text: clockTime(from) }), h("span", { text: clockTime(from + whole / 2) }), h("span", { text: session.ended_at ? clockTime(to) : text("sessions.now") })),
    h("p", { class: "legend" }, h("i", { class: "stay" }), text("sessions.stay"), h("i", { class: "stream-bar" }), word("kind", "audio"), h("i", { class: "stream-bar picture" }), text("sessions.picture"), ...(marks.length ? [h("i", { class: "speech" }), text("marks.title")] : [])));
}
