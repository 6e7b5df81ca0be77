/** What goes on, and first what is wrong. */
import { get, query } from "./api.js";
import { every, live } from "./live.js";
import { ROOM } from "./rooms.js";
import { empty, h, head, link, path, section, settled, table, time } from "./ui.js";
import { number, shortDay, span, text } from "./text.js";

/** Days of the chart, and sessions that are counted for it at most. */
const DAYS = 14, MOST = 1_000;
/** A worker that is busier is told of. */
const BUSY = 80;

/** @param {HTMLElement} main */
export async function render(main) {
  const [wrong, figures, sessions, chart] = ["wrong", "figures", "", ""].map((name) => h("div", { class: name }));
  if (!wrong || !figures || !sessions || !chart) return;
  const read = async () => {
    const [stats, active, webhooks] = await Promise.all([get("/server/stats"), get("/sessions?state=active&limit=10"), get("/webhooks?limit=200")]);
    showWrong(wrong, stats, webhooks.data);
    figures.replaceChildren(...[["rooms", stats.rooms], ["sessions", stats.sessions], ["people", stats.participants], ["refused", stats.joins.refused], ["load", `${Math.max(0, ...stats.workers.map((/** @type {any} */ worker) => worker.busy_percent))} %`]]
      .map(([name, value]) => h("div", {}, h("b", { text: typeof value === "number" ? number(value) : value }), h("span", { text: text(`overview.${name}`) }))));
    sessions.replaceChildren(active.data.length ? running(active.data) : empty(text("overview.quiet"), text("overview.quietText"), link("/rooms", text("overview.toRooms"), { class: "button" })));
  };
  await Promise.all([read(), showDays(chart)]);
  main.append(head(text("nav.overview")), wrong, figures, section(text("overview.now"), sessions), section(text("overview.days", { count: DAYS }), chart));
  live(query({ type: ["session.started", "session.ended", "participant.joined", "participant.left", "server.draining", "server.drain_ended"] }), settled(200, read), read);
  every(10_000, read);
}

/**
 * @param {HTMLElement} place
 * @param {any} stats
 * @param {any[]} webhooks
 */
function showWrong(place, stats, webhooks) {
  const found = [];
  if (stats.draining) found.push(notice(text("overview.draining"), "/server"));
  for (const { id, url, state, backlog, enabled } of webhooks) {
    if (enabled && state !== "healthy") found.push(notice(text(`overview.${state === "gone" ? "gone" : "failing"}`, { url, count: backlog }), path("webhooks", id)));
  }
  if (stats.store.failed_transactions > 0) found.push(notice(text("overview.store", { count: stats.store.failed_transactions }), "/server"));
  for (const worker of stats.workers) {
    if (worker.busy_percent > BUSY) found.push(notice(text("overview.busy", { address: worker.address, percent: worker.busy_percent }), "/server"));
    if (worker.socket.receive_drops > 0) found.push(notice(text("overview.drops", { address: worker.address, count: worker.socket.receive_drops }), "/server"));
  }
  place.replaceChildren(...found);
}

/** @param {string} what @param {string} to */
const notice = (what, to) => h("p", { class: "notice" }, h("span", { text: what }), link(to, text("ui.look")));

/** @param {any[]} rows */
function running(rows) {
  return table(text("overview.now"), [
    ROOM,
    { name: text("words.people"), cell: ({ participants }) => number(participants), class: "figure" },
    { name: text("words.started"), cell: ({ started_at }) => time(started_at) },
    { name: text("words.length"), cell: ({ started_at }) => span(Date.now() - Date.parse(started_at)), class: "figure" },
  ], rows).table;
}

/** Sessions of each day. @param {HTMLElement} place */
async function showDays(place) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const starts = Array.from({ length: DAYS }, (_, n) => new Date(today.getFullYear(), today.getMonth(), today.getDate() - DAYS + 1 + n));
  const counts = starts.map((start) => ({ start, sessions: 0, people: 0 }));
  let cursor = null, seen = 0;
  do {
    const page = await get(`/sessions${query({ started_after: /** @type {Date} */ (starts[0]).toISOString(), limit: 200, cursor })}`);
    for (const { started_at, unique_participants } of page.data) {
      const day = counts.findLast(({ start }) => start.getTime() <= Date.parse(started_at));
      if (day) [day.sessions, day.people] = [day.sessions + 1, day.people + unique_participants];
    }
    [cursor, seen] = [page.next_cursor, seen + page.data.length];
  } while (cursor && seen < MOST);
  const most = Math.max(1, ...counts.map(({ sessions }) => sessions));
  const bars = h("ol", { class: "days" }, ...counts.map(({ start, sessions, people }) => {
    const bar = h("i");
    bar.style.height = `${100 * sessions / most}%`;
    return h("li", { title: `${shortDay(start.getTime())}: ${text("overview.bar", { sessions, people })}` }, h("span", { class: "bar", "aria-hidden": "true" }, bar),
      h("b", { text: String(sessions) }), h("span", { class: "day", text: shortDay(start.getTime()) }), h("span", { class: "heard", text: text("overview.bar", { sessions, people }) }));
  }));
  place.replaceChildren(bars, h("p", { class: "hint", text: cursor ? text("overview.more", { count: seen }) : text("overview.barHint") }));
}

