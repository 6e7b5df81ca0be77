/** Webhooks: where events are sent to, and what became of each. */
import { ask, get, Problem, query } from "./api.js";
import { form } from "./forms.js";
import { every } from "./live.js";
import { more } from "./rooms.js";
import { badge, button, confirm, dialog, doing, empty, facts, h, head, link, path, say, section, showSecret, table, time } from "./ui.js";
import { number, text, word } from "./text.js";

/** @param {any} webhook */
function standing({ enabled, state }) {
  if (!enabled) return badge(text("webhooks.off"), "warn");
  return badge(word("webhookState", state), state === "healthy" ? "good" : "bad");
}

/** @param {string} list */
const words = (list) => list.split(/[\s,]+/).filter(Boolean);

/** @param {HTMLElement} main */
export async function render(main) {
  const place = h("div");
  const read = async (quiet = true) => {
    const { data } = await get("/webhooks?limit=200", { quiet });
    place.replaceChildren(data.length === 0 ? empty(text("webhooks.empty"), text("webhooks.emptyText"), button(text("webhooks.make"), make, { class: "main" })) : table(text("nav.webhooks"), [
      { name: text("webhooks.url"), cell: ({ id, url }) => link(path("webhooks", id), url) },
      { name: text("words.state"), cell: standing },
      { name: text("webhooks.backlog"), cell: ({ backlog }) => number(backlog), class: "figure" },
      { name: text("webhooks.success"), cell: ({ last_success_at }) => time(last_success_at) },
      { name: text("nav.events"), cell: ({ events }) => events.join(", ") || text("ui.all") },
      { name: text("words.rooms"), cell: ({ rooms }) => rooms.join(", ") || text("ui.all") },
    ], data).table);
  };
  await read(false);
  main.append(head(text("nav.webhooks"), { actions: [button(text("webhooks.make"), make, { class: "main" })] }), place);
  every(3_000, read);
}

/** @param {any} [webhook] @returns {import("./forms.js").Field[]} */
const fieldsOf = (webhook = {}) => [
  { name: "url", label: text("webhooks.url"), value: webhook.url, required: true, hint: text("webhooks.urlHint") },
  { name: "failover_url", label: text("webhooks.failover"), value: webhook.failover_url, hint: text("webhooks.failoverHint") },
  { name: "events", label: text("nav.events"), value: webhook.events?.join(", "), hint: text("webhooks.eventsHint") },
  { name: "rooms", label: text("words.rooms"), value: webhook.rooms?.join(", "), hint: text("webhooks.roomsHint") },
  { name: "timeout_s", label: text("webhooks.timeout"), kind: "number", min: 1, value: webhook.timeout_s ?? 10 },
];

/** @param {any} values */
const settingsOf = ({ url, failover_url, events, rooms, timeout_s }) => ({ url, failover_url: failover_url || null, events: words(events), rooms: words(rooms), timeout_s });

function make() {
  const shown = dialog(text("webhooks.make"), form(fieldsOf(), text("webhooks.make"), async (values) => {
    const { failover_url, events, rooms, ...rest } = settingsOf(values);
    const made = await ask("POST", "/webhooks", { ...rest, ...(failover_url && { failover_url }), ...(events.length && { events }), ...(rooms.length && { rooms }) });
    shown.close();
    location.hash = path("webhooks", made.id);
    showSecret(text("webhooks.secret"), text("webhooks.secretText"), made.secret);
  }));
}

/** @param {HTMLElement} main @param {string[]} parts @param {URLSearchParams} search */
export async function renderOne(main, [id = ""], search) {
  const at = path("webhooks", id), mark = h("span"), known = h("div"), place = h("div"), turn = h("span");
  const first = await get(at);
  let etag = first.etag, former = first;
  const wanted = search.get("state");
  let pages = 1;
  const read = async (quiet = true) => {
    const now = await get(at, { quiet: true });
    mark.replaceChildren(standing(now));
    known.replaceChildren(facts([
      [text("webhooks.backlog"), number(now.backlog)], [text("webhooks.oldest"), time(now.oldest_pending_at)], [text("webhooks.success"), time(now.last_success_at)],
      [text("nav.events"), now.events.join(", ") || text("ui.all")], [text("words.rooms"), now.rooms.join(", ") || text("ui.all")], [text("words.made"), time(now.created_at)],
    ]));
    turn.replaceChildren(doing(text(now.enabled && now.state !== "gone" ? "webhooks.pause" : "webhooks.resume"), async () => {
      await ask("PATCH", at, { enabled: !(now.enabled && now.state !== "gone") });
      await read();
    }));
    // Whoever looks at older pages is not thrown back to the first.
    if (pages > 1) return;
    const page = await get(`${at}/deliveries${query({ state: wanted, limit: 25 })}`, { quiet });
    if (page.data.length === 0) return place.replaceChildren(empty(text("webhooks.none"), text("webhooks.noneText")));
    const list = deliveries(at, page.data, read);
    place.replaceChildren(list.table, more(page.next_cursor, list, (cursor) => {
      pages++;
      return get(`${at}/deliveries${query({ state: wanted, limit: 25, cursor })}`, { quiet: true });
    }));
  };
  await read(false);
  const test = doing(text("webhooks.test"), async () => {
    const { delivered, status, error, answer, duration_ms } = await ask("POST", `${at}/test`);
    if (delivered) say(text("webhooks.testDone", { status, ms: duration_ms }));
    else dialog(text("webhooks.testFailed"), h("p", { text: error ?? text("webhooks.answered", { status }) }), answer ? h("pre", { tabindex: "0", text: answer }) : null);
  });
  const state = h("nav", { class: "tabs", "aria-label": text("webhooks.deliveries") }, h("ul", {}, ...["", "pending", "retrying", "delivered", "failed"].map((one) => h("li", {}, link(`${at}${query({ state: one })}`, one ? word("delivery", one) : text("ui.all"), one === (wanted ?? "") ? { "aria-current": "page" } : {})))));
  const settings = form(fieldsOf(first), text("ui.save"), async (values) => {
    const wanted = /** @type {Record<string, any>} */ (settingsOf(values));
    const changed = Object.fromEntries(Object.entries(wanted).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(former[key])));
    if (Object.keys(changed).length === 0) return say(text("ui.same"));
    try {
      former = await ask("PATCH", at, changed, { headers: { "if-match": etag } });
    } catch (error) {
      if (!(error instanceof Problem && error.kind === "etag-mismatch")) throw error;
      former = await get(at, { quiet: true });
      etag = former.etag;
      throw new Error(text("rooms.changed", { what: "–" }));
    }
    etag = former.etag;
    say(text("ui.saved"));
    await read();
  });
  main.append(
    head(first.url, { over: link("/webhooks", text("nav.webhooks")), badge: mark, actions: [test, turn] }), known,
    section(text("webhooks.deliveries"), state, place),
    section(text("room.settings"), settings),
    section(text("rooms.grave"), h("div", { class: "actions" },
      button(text("webhooks.replay"), () => replay(at)),
      button(text("keys.rotate"), () => rotate(at)),
      button(text("webhooks.delete"), () => confirm(text("webhooks.delete"), text("webhooks.deleteText"), text("webhooks.delete"), async () => {
        await ask("DELETE", at);
        location.hash = "/webhooks";
      }), { class: "away" }))),
  );
  every(2_000, read);
}

/** @param {string} at @param {any[]} rows @param {() => Promise<void>} read */
function deliveries(at, rows, read) {
  return table(text("webhooks.deliveries"), [
    { name: text("nav.events"), cell: ({ type, seq }) => h("div", {}, h("code", { text: type }), h("div", { class: "faint", text: `#${seq}` })) },
    { name: text("words.room"), cell: ({ room }) => room ?? "–" },
    { name: text("words.state"), cell: ({ state }) => badge(word("delivery", state), state === "delivered" ? "good" : state === "failed" ? "bad" : "warn") },
    { name: text("webhooks.tries"), cell: ({ tries }) => number(tries), class: "figure" },
    { name: text("webhooks.answer"), cell: ({ status, error, answer, duration_ms }) => h("div", {}, status ? `${status}` : "", duration_ms === null ? "" : ` ${text("units.ms", { n: duration_ms })}`, error ? h("div", { class: "faint", text: error }) : null, answer ? h("details", {}, h("summary", { text: text("webhooks.body") }), h("pre", { tabindex: "0", text: answer })) : null) },
    { name: text("webhooks.next"), cell: ({ next_at, settled_at }) => settled_at ? "–" : time(next_at) },
    { name: "", cell: ({ id, state, type }) => state === "delivered" ? null : doing(text("webhooks.retry"), async () => {
      await ask("POST", `${at}/deliveries/${id}/retry`);
      await read();
    }, { "aria-label": `${text("webhooks.retry")}: ${type}` }) },
  ], rows);
}

/** @param {string} at */
function replay(at) {
  const shown = dialog(text("webhooks.replay"), h("p", { text: text("webhooks.replayText") }), form([{ name: "from_seq", label: text("webhooks.fromSeq"), kind: "number", min: 1, required: true }], text("webhooks.replay"), async ({ from_seq }) => {
    await ask("POST", `${at}/replay`, { from_seq });
    shown.close();
  }));
}

/** @param {string} at */
function rotate(at) {
  const shown = dialog(text("keys.rotate"), form([{ name: "keep_former_s", label: text("keys.keepFormer"), kind: "select", options: [["0", text("keys.notAtAll")], ["3600", text("invite.hour")], ["86400", text("invite.day")]], value: "3600" }], text("keys.rotate"), async ({ keep_former_s }) => {
    const { secret } = await ask("POST", `${at}/rotate`, { keep_former_s: Number(keep_former_s) });
    shown.close();
    showSecret(text("webhooks.secret"), text("webhooks.secretText"), secret);
  }));
}
