/** Who did what. */
import { get, query } from "./api.js";
import { filters } from "./forms.js";
import { every } from "./live.js";
import { more } from "./rooms.js";
import { badge, empty, h, head, link, table, time, wantedOf } from "./ui.js";
import { text, word } from "./text.js";

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const wanted = wantedOf(search, "actor", "action", "target", "participant");
  const place = h("div");
  let newest = "", pages = 1;
  const read = async (quiet = true) => {
    const page = await get(`/audit${query({ ...wanted, limit: 50 })}`, { quiet });
    const first = JSON.stringify(page.data[0] ?? null);
    if (pages > 1 || first === newest) return;
    newest = first;
    if (page.data.length === 0) return place.replaceChildren(empty(text(Object.values(wanted).some(Boolean) ? "ui.noMatch" : "audit.empty"), text("audit.emptyText")));
    const list = table(text("nav.audit"), [
      { name: text("words.time"), cell: ({ at }) => time(at) },
      { name: text("audit.actor"), cell: ({ actor }) => actor ? link(`/audit?actor=${encodeURIComponent(actor)}`, actor.startsWith("admin:") ? actor.slice(6) : text("audit.key", { id: actor })) : h("span", { class: "faint", text: text("audit.nobody") }) },
      { name: text("audit.action"), cell: ({ action }) => h("code", { text: action }) },
      { name: text("audit.target"), cell: ({ target }) => h("code", { class: "faint", text: target }) },
      { name: text("words.participant"), cell: ({ participant }) => participant ?? "–" },
      { name: text("audit.result"), cell: ({ result, count }) => h("span", {}, result === "done" ? word("results", result) : badge(word("results", result), "bad"), count > 1 ? ` × ${count}` : "") },
    ], page.data);
    place.replaceChildren(list.table, more(page.next_cursor, list, (cursor) => {
      pages++;
      return get(`/audit${query({ ...wanted, limit: 50, cursor })}`, { quiet: true });
    }));
  };
  await read(false);
  main.append(head(text("nav.audit")), filters([
    { name: "actor", label: text("audit.actor"), kind: "search", hint: text("audit.actorHint") },
    { name: "participant", label: text("words.participant"), kind: "search" },
    { name: "target", label: text("audit.target"), kind: "search" },
  ], search, "/audit"), place);
  every(3_000, read);
}
