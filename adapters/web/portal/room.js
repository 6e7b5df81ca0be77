/** A room: who is in it now, invitations, settings, and who is kept out. */
import { ask, get, Problem, query } from "./api.js";
import { form } from "./forms.js";
import * as invite from "./invite.js";
import { every, live } from "./live.js";
import { badge, button, confirm, dialog, doing, empty, h, head, link, path, say, section, settled, table, time } from "./ui.js";
import { span, text, word } from "./text.js";

/** People of whom their streams are asked for; of more only who is there. */
const DETAILED = 40;
const TABS = ["", "invite", "settings", "bans"];

/** @param {string} room */
const at = (room) => `/rooms/${encodeURIComponent(room)}`;

/** @param {HTMLElement} main @param {string[]} parts */
export async function render(main, [name = "", tab = ""]) {
  const room = await get(at(name));
  const mark = h("span");
  const join = button(text("room.join"), () => void joinAsModerator(name));
  const tabs = h("nav", { class: "tabs", "aria-label": name }, h("ul", {}, ...TABS.map((one) => h("li", {}, link(path("rooms", name, ...(one ? [one] : [])), text(`room.${one || "live"}`), one === tab ? { "aria-current": "page" } : {})))));
  main.append(head(name, { over: link("/rooms", text("nav.rooms")), badge: mark, actions: [join] }), room.title ? h("p", { class: "lead", text: room.title }) : "", tabs);
  /** @param {any} now */
  const show = (now) => mark.replaceChildren(now.state === "disabled" ? badge(word("roomState", "disabled"), "warn") : now.active_session ? badge(text("rooms.live"), "good") : badge(text("rooms.idle")));
  show(room);
  if (tab === "invite") main.append(...await invite.render(name));
  else if (tab === "settings") main.append(...settings(room));
  else if (tab === "bans") await bans(main, name);
  else await now(main, name, room, show);
}

/** @param {string} room */
async function joinAsModerator(room) {
  // Before the answer, since browsers open windows for a click only.
  const opened = open("about:blank", "_blank");
  try {
    const id = `moderator-${Math.random().toString(36).slice(2, 8)}`;
    const { ticket } = await ask("POST", `${at(room)}/tokens`, { participant: id, name: text("roles.moderator"), grants: invite.ROLES.moderator, ttl_s: 3_600 });
    if (opened) {
      opened.opener = null;
      opened.location.href = invite.pageOf(room, "ticket", ticket);
    }
  } catch (error) {
    opened?.close();
    say(/** @type {Error} */ (error).message, "bad");
  }
}

/**
 * Who is there.
 * @param {HTMLElement} main
 * @param {string} name
 * @param {any} first
 * @param {(room: any) => void} show
 */
async function now(main, name, first, show) {
  const lobby = h("div"), people = h("div"), bar = h("div", { class: "actions" }), count = h("p", { class: "hint" });
  /** @type {Map<string, { row: HTMLElement, show: (person: any) => void }>} */
  const rows = new Map();
  const list = h("ul", { class: "roster", "aria-label": text("room.people") });
  /** @type {string | null} */
  let session = first.active_session;
  /** @type {string | null} */
  let speaker = null;
  let isRecorded = false;
  /** @type {Map<string, any>} */
  const known = new Map();
  /** @type {Map<string, any>} */
  const quality = new Map();
  const draw = () => {
    for (const [id, { row }] of rows) {
      if (known.has(id)) continue;
      row.remove();
      rows.delete(id);
    }
    for (const [id, person] of known) {
      const row = rows.get(id) ?? add(id);
      row.show({ ...person, speaks: speaker === id, quality: quality.get(id) });
    }
    count.textContent = text("room.count", { count: known.size });
    if (known.size) people.replaceChildren(count, list);
    else people.replaceChildren(empty(text("room.nobody"), text("room.nobodyText"), link(path("rooms", name, "invite"), text("room.invite"), { class: "button" })));
    bar.hidden = session === null;
  };
  /** @param {string} id */
  const add = (id) => {
    const made = person(name, id, () => session);
    rows.set(id, made);
    list.append(made.row);
    return made;
  };
  let reading = 0;
  const read = async () => {
    const mine = ++reading;
    const [room, waiting] = await Promise.all([get(at(name), { quiet: true }), get(`${at(name)}/lobby`, { quiet: true })]);
    const present = room.active_session ? await get(`/participants${query({ session: room.active_session, state: ["connected", "reconnecting"], limit: 200, order: "asc" })}`, { quiet: true }) : { data: [] };
    const details = await Promise.all(present.data.slice(0, DETAILED).map((/** @type {any} */ one) => get(`/sessions/${one.session}/participants/${encodeURIComponent(one.participant)}`, { quiet: true }).catch(() => one)));
    const recording = room.active_session ? await get(`/sessions/${room.active_session}/recording`, { quiet: true }).catch(() => null) : null;
    if (mine !== reading) return;
    session = room.active_session;
    isRecorded = recording?.active ?? false;
    sign.hidden = !isRecorded;
    record.textContent = text(isRecorded ? "room.unrecord" : "room.record");
    known.clear();
    for (const one of [...details, ...present.data.slice(DETAILED)]) known.set(one.participant, one);
    show(room);
    showLobby(lobby, name, waiting.data);
    draw();
  };
  const record = doing("", async () => {
    const at = `/sessions/${session}/recording`;
    if (isRecorded) await ask("DELETE", at);
    else await ask("PUT", at, { participants: "all" });
    await read();
  });
  const sign = h("p", { class: "recorded", hidden: true }, badge(text("room.recorded"), "bad"));
  const all = [
    record,
    doing(text("room.messageAll"), async () => message(session, "all")),
    doing(text("room.silenceAll"), () => target(session, "censor", "all")),
    button(text("room.end"), () => confirm(text("room.end"), text("room.endText"), text("room.end"), () => ask("POST", `/sessions/${session}/end`)), { class: "away" }),
  ];
  await read();
  bar.append(...all);
  main.append(lobby, sign, section(text("room.people"), bar, people), h("p", {}, link(`/sessions?room=${encodeURIComponent(name)}`, text("room.history")), " · ", link(`/events?room=${encodeURIComponent(name)}`, text("room.journal"))));
  const soon = settled(150, () => read().catch((error) => { if (error instanceof Problem && error.kind === "not-found") location.hash = "/rooms"; }));
  live(query({ room: name, speaker: "1" }), (event) => {
    if (event.type !== "speaker.changed") return soon();
    speaker = event.participant;
    draw();
  }, soon);
  const measure = async () => {
    if (!session) return;
    const found = await get(`/sessions/${session}/stats${query({ from: new Date(Date.now() - 45_000).toISOString(), limit: 200 })}`, { quiet: true });
    quality.clear();
    for (const one of found.data) if (!quality.has(one.participant)) quality.set(one.participant, one);
    draw();
  };
  void measure().catch(() => undefined);
  every(10_000, measure);
}

/**
 * @param {string | null} session
 * @param {string} action
 * @param {"all" | string[]} participants
 * @param {object} [more]
 */
async function target(session, action, participants, more = {}) {
  const { affected, unknown } = await ask("POST", `/sessions/${session}/${action}`, { participants, ...more });
  say(unknown.length ? text("room.gone", { names: unknown.join(", ") }) : text(`room.${action}Done`, { count: affected.length }));
}

/** @param {string | null} session @param {"all" | string[]} to */
function message(session, to) {
  const fields = form([
    { name: "body", label: text("room.message"), kind: "area", required: true },
    { name: "topic", label: text("room.topic"), value: "chat", hint: text("room.topicHint"), required: true },
  ], text("room.send"), async ({ body, topic }) => {
    const { delivered } = await ask("POST", `/sessions/${session}/messages`, { to, topic, body });
    shown.close();
    say(text("room.sent", { count: delivered }));
  });
  const shown = dialog(to === "all" ? text("room.messageAll") : text("room.messageTo", { name: to[0] ?? "" }), fields);
}

/**
 * A person in the list.
 * @param {string} room
 * @param {string} id
 * @param {() => string | null} session
 */
function person(room, id, session) {
  const title = h("b", { class: "name" }), own = h("code", { class: "faint" }), state = h("span", { class: "state" }), line = h("span", { class: "faint" }), streams = h("span", { class: "streams" });
  const censor = doing("", () => target(session(), censor.dataset.action ?? "censor", [id]));
  const actions = h("div", { class: "actions" }, censor,
    button(text("room.messageOne"), () => message(session(), [id])),
    button(text("room.kick"), () => {
      const shown = dialog(text("room.kickTitle", { name: id }), form([
        { name: "how", label: text("room.how"), kind: "select", options: [["once", text("room.kickOnce")], ["session", text("room.kickSession")], ["ban", text("room.kickBan")]], value: "session" },
      ], text("room.kick"), async ({ how }) => {
        if (how === "ban") await ask("PUT", `${at(room)}/bans/${encodeURIComponent(id)}`, {});
        else await target(session(), "kick", [id], { keep_out: how === "session" });
        shown.close();
      }, { away: true }));
    }, { class: "away" }));
  const row = h("li", { class: "person", "data-id": id }, h("span", { class: "lamp", "aria-hidden": "true" }), h("div", { class: "whom" }, h("div", {}, title, " ", own), h("div", { class: "about" }, state, line), streams), actions);
  let streamsShown = "";
  return {
    row,
    /** @param {any} one */
    show(one) {
      const sound = one.streams?.filter((/** @type {any} */ stream) => !stream.unpublished_at) ?? [];
      const mic = sound.find((/** @type {any} */ stream) => stream.kind === "audio");
      const name = one.state === "reconnecting" ? "reconnecting" : one.censored ? "censored" : one.streams && !mic ? "listens" : mic?.muted ? "muted" : one.speaks ? "speaks" : mic ? "on" : "there";
      title.textContent = one.name || id;
      own.textContent = one.name && one.name !== id ? id : "";
      state.textContent = text(`person.${name}`);
      row.dataset.state = name;
      const measured = one.quality;
      line.textContent = [measured ? text("room.quality", { quality: measured.quality }) : "", text("room.since", { span: span(Date.now() - Date.parse(one.joined_at)) }), word("way", one.path)].filter(Boolean).join(" · ");
      censor.textContent = text(one.censored ? "room.uncensor" : "room.censor");
      censor.dataset.action = one.censored ? "uncensor" : "censor";
      censor.setAttribute("aria-label", `${censor.textContent}: ${one.name || id}`);
      const keys = JSON.stringify(sound.map((/** @type {any} */ { key, muted }) => [key, muted]));
      if (keys === streamsShown) return;
      streamsShown = keys;
      streams.replaceChildren(...sound.map((/** @type {any} */ { key, kind, codec, muted }) => h("span", { class: "stream" }, h("span", { text: `${word("kind", kind)} · ${codec}${muted ? ` · ${text("person.muted")}` : ""}` }),
        doing(text("room.stop"), () => ask("DELETE", `/sessions/${session()}/participants/${encodeURIComponent(id)}/streams/${encodeURIComponent(key)}`), { class: "bare small", "aria-label": `${text("room.stop")}: ${word("kind", kind)}, ${one.name || id}` }))));
    },
  };
}

/** @param {HTMLElement} place @param {string} room @param {any[]} waiting */
function showLobby(place, room, waiting) {
  if (waiting.length === 0) return place.replaceChildren();
  /** @param {string} verb @param {"all" | string[]} participants @param {string} label @param {string} [main] */
  const act = (verb, participants, label, main) => doing(label, () => ask("POST", `${at(room)}/lobby/${verb}`, { participants }), { class: main, "aria-label": participants === "all" ? label : `${label}: ${participants[0]}` });
  const items = waiting.map(({ participant, name }) => h("li", {}, h("span", {}, h("b", { text: name || participant }), " ", name ? h("code", { class: "faint", text: participant }) : null), act("admit", [participant], text("room.admit"), "main"), act("deny", [participant], text("room.deny"))));
  const whole = waiting.length > 1 ? h("div", { class: "actions" }, act("admit", "all", text("room.admitAll")), act("deny", "all", text("room.denyAll"))) : null;
  place.replaceChildren(h("section", { class: "knocks" }, h("h2", { text: text("room.waiting", { count: waiting.length }) }), h("ul", {}, ...items), whole));
}

/** Whether two values of a setting say the same. @param {any} a @param {any} b @returns {boolean} */
const isSame = (a, b) => a instanceof Object && b instanceof Object ? Object.keys(a).every((key) => isSame(a[key], b[key])) : a === b;

/** @param {any} room */
function settings(room) {
  let etag = room.etag;
  const fields = form([
    { name: "title", label: text("rooms.title"), value: room.title },
    { name: "max_participants", label: text("rooms.max"), kind: "number", min: 1, value: room.max_participants, hint: text("rooms.maxHint") },
    { name: "lobby", label: text("rooms.lobby"), kind: "check", value: room.lobby, hint: text("rooms.lobbyHint") },
    { name: "on_duplicate", label: text("rooms.duplicate"), kind: "select", options: [["replace", text("rooms.replace")], ["refuse", text("rooms.refuse")]], value: room.on_duplicate },
    { name: "empty_timeout_s", label: text("rooms.emptyTimeout"), kind: "number", min: 0, value: room.empty_timeout_s, hint: text("rooms.secondsHint") },
    { name: "solo_timeout_s", label: text("rooms.soloTimeout"), kind: "number", min: 0, value: room.solo_timeout_s, hint: text("rooms.secondsHint") },
    { name: "max_session_s", label: text("rooms.maxSession"), kind: "number", min: 0, value: room.max_session_s, hint: text("rooms.secondsHint") },
    { name: "mode", pointer: "/recording/mode", label: text("rooms.recording"), kind: "select", options: [["off", text("rooms.recordNot")], ["audio", text("rooms.recordAll")]], value: room.recording.mode, hint: text("rooms.recordHint") },
    { name: "retention_days", pointer: "/recording/retention_days", label: text("rooms.retention"), kind: "number", min: 0, value: room.recording.retention_days, hint: text("rooms.retentionHint") },
  ], text("ui.save"), async ({ mode, retention_days, ...others }) => {
    const values = { ...others, recording: { mode, retention_days } };
    // What is as it was need not be sent: another admin may have changed it.
    const changed = Object.fromEntries(Object.entries(values).filter(([key, value]) => !isSame(value, room[key])));
    if (Object.keys(changed).length === 0) return say(text("ui.same"));
    try {
      const saved = await ask("PATCH", at(room.name), changed, { headers: { "if-match": etag } });
      etag = saved.etag;
      Object.assign(room, saved);
      say(text("ui.saved"));
    } catch (error) {
      if (!(error instanceof Problem && error.kind === "etag-mismatch")) throw error;
      const present = await get(at(room.name), { quiet: true });
      etag = present.etag;
      const theirs = Object.keys(values).filter((key) => !isSame(present[key], room[key]));
      Object.assign(room, present);
      throw new Error(text("rooms.changed", { what: theirs.join(", ") || "–" }));
    }
  });
  const isOn = room.state === "enabled";
  const turn = button(text(isOn ? "rooms.disable" : "rooms.enable"), () => isOn
    ? confirm(text("rooms.disable"), text("rooms.disableText"), text("rooms.disable"), () => set("disabled"))
    : void set("enabled").catch((error) => say(error.message, "bad")), isOn ? { class: "away" } : {});
  /** @param {string} state */
  const set = async (state) => {
    await ask("PATCH", at(room.name), { state });
    dispatchEvent(new Event("hashchange"));
  };
  const remove = button(text("rooms.delete"), () => confirm(text("rooms.delete"), text("rooms.deleteText", { room: room.name }), text("rooms.delete"), async () => {
    await ask("DELETE", at(room.name));
    location.hash = "/rooms";
  }), { class: "away" });
  const revoke = button(text("rooms.revoke"), () => confirm(text("rooms.revoke"), text("rooms.revokeText"), text("rooms.revoke"), () => ask("POST", `${at(room.name)}/tokens/revoke`, {})), { class: "away" });
  return [section(text("room.settings"), fields), section(text("rooms.grave"), h("div", { class: "actions" }, turn, revoke, remove))];
}

/** @param {HTMLElement} main @param {string} room */
async function bans(main, room) {
  const place = h("div");
  const read = async () => {
    const { data } = await get(`${at(room)}/bans`);
    place.replaceChildren(data.length === 0 ? empty(text("bans.empty"), text("bans.emptyText")) : table(text("room.bans"), [
      { name: text("words.participant"), cell: ({ participant }) => h("code", { text: participant }) },
      { name: text("bans.until"), cell: ({ until }) => until ? time(until) : text("bans.ever") },
      { name: text("bans.reason"), cell: ({ reason }) => reason || "–" },
      { name: text("words.since"), cell: ({ created_at }) => time(created_at) },
      { name: "", cell: ({ participant }) => doing(text("bans.lift"), () => ask("DELETE", `${at(room)}/bans/${encodeURIComponent(participant)}`), { "aria-label": `${text("bans.lift")}: ${participant}` }) },
    ], data).table);
  };
  await read();
  main.append(section(text("room.bans"), place), section(text("bans.add"), form([
    { name: "participant", label: text("invite.id"), required: true },
    { name: "until", label: text("bans.until"), kind: "datetime-local", hint: text("bans.untilHint") },
    { name: "reason", label: text("bans.reason") },
  ], text("bans.add"), async ({ participant, until, reason }, made) => {
    await ask("PUT", `${at(room)}/bans/${encodeURIComponent(participant)}`, { ...(until && { until }), ...(reason && { reason }) });
    made.reset();
  })));
  live(query({ room, type: ["participant.banned", "participant.unbanned"] }), settled(100, read), read);
}

