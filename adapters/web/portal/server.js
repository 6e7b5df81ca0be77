/** The server: what it is, how busy its workers are, draining and backups. */
import { ask, get, query } from "./api.js";
import { form } from "./forms.js";
import { every, live } from "./live.js";
import { badge, doing, facts, h, head, say, section, table, time } from "./ui.js";
import { number, size, span, text } from "./text.js";

/** @param {HTMLElement} main */
export async function render(main) {
  const mark = h("span"), known = h("div"), workers = h("div"), drain = h("div"), store = h("div");
  let wasDraining = "";
  const read = async (quiet = true) => {
    const [server, stats] = await Promise.all([get("/server", { quiet }), get("/server/stats", { quiet })]);
    mark.replaceChildren(server.draining ? badge(text("server.draining"), "warn") : badge(text("server.works"), "good"));
    known.replaceChildren(facts([
      [text("server.version"), server.version], [text("server.uptime"), span(stats.uptime_s * 1_000)], [text("words.started"), time(server.started_at)],
      [text("nav.rooms"), number(stats.rooms)], [text("nav.sessions"), number(stats.sessions)], [text("words.people"), number(stats.participants)],
      [text("server.joined"), number(stats.joins.joined)], [text("overview.refused"), number(stats.joins.refused)], [text("server.perRoom"), number(server.limits.participants_per_room)],
      [text("server.rate"), number(server.limits.requests_per_s)], [text("server.ticketBase"), h("code", { text: server.ticket_base })],
    ]));
    workers.replaceChildren(table(text("server.workers"), [
      { name: text("server.address"), cell: ({ address }) => h("code", { text: address }) },
      { name: text("server.load"), cell: ({ busy_percent }) => meter(busy_percent), class: "figure" },
      { name: text("nav.rooms"), cell: ({ rooms }) => number(rooms), class: "figure" },
      { name: text("words.people"), cell: ({ participants }) => number(participants), class: "figure" },
      { name: text("server.received"), cell: ({ bytes_received }) => size(bytes_received), class: "figure" },
      { name: text("server.sent"), cell: ({ bytes_sent }) => size(bytes_sent), class: "figure" },
      { name: text("server.drops"), cell: ({ socket, media_dropped }) => number((socket.receive_drops ?? 0) + media_dropped), class: "figure" },
      { name: text("server.buffers"), cell: ({ socket }) => `${size(socket.receive_buffer_bytes)} / ${size(socket.send_buffer_bytes)}`, class: "figure" },
    ], stats.workers).table);
    store.replaceChildren(facts([
      [text("server.journal"), number(stats.store.journal_seq)], [text("server.writes"), number(stats.store.writes)], [text("server.mean"), text("units.ms", { n: number(stats.store.mean_write_us / 1_000) })],
      [text("server.queued"), number(stats.store.queued)], [text("server.failedWrites"), number(stats.store.failed_transactions)],
    ]));
    const now = JSON.stringify([server.draining, server.drain_deadline_at]);
    if (now !== wasDraining) showDrain(server);
    wasDraining = now;
  };
  /** @param {any} server */
  const showDrain = (server) => drain.replaceChildren(server.draining
    ? h("div", {}, h("p", { class: "notice", text: text("server.drainText") }), server.drain_deadline_at ? h("p", {}, text("server.deadline"), " ", time(server.drain_deadline_at)) : null, h("div", { class: "actions" }, doing(text("server.endDrain"), async () => {
      await ask("DELETE", "/server/drain");
      await read();
    })))
    : form([{ name: "deadline_s", label: text("server.deadlineField"), kind: "number", min: 1, hint: text("server.deadlineHint") }], text("server.drain"), async ({ deadline_s }) => {
      await ask("POST", "/server/drain", deadline_s === null ? {} : { deadline_s });
      await read();
    }, { away: true }));
  await read(false);
  const made = h("div", { "aria-live": "polite" });
  const backup = doing(text("server.backup"), async () => {
    const { path, bytes, key_file } = await ask("POST", "/server/backup");
    made.replaceChildren(facts([[text("server.file"), h("code", { text: path })], [text("server.keyFile"), h("code", { text: key_file })], [text("server.size"), size(bytes)]]));
    say(text("server.backedUp"));
  });
  main.append(head(text("nav.server"), { badge: mark }), known, section(text("server.workers"), workers), section(text("server.database"), store),
    section(text("server.backup"), h("p", { class: "hint", text: text("server.backupText") }), h("div", { class: "actions" }, backup), made),
    section(text("server.drain"), h("p", { class: "hint", text: text("server.drainHint") }), drain));
  live(query({ type: ["server.draining", "server.drain_ended"] }), () => void read().catch(() => undefined), read);
  every(5_000, read);
}

/** @param {number} percent */
function meter(percent) {
  const bar = h("i");
  bar.style.width = `${Math.min(100, percent)}%`;
  return h("span", { class: percent > 80 ? "load high" : "load" }, h("span", { class: "load-bar", "aria-hidden": "true" }, bar), h("span", { text: `${percent} %` }));
}
