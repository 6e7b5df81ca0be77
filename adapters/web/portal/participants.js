/** People over all sessions, and the erasure of one. */
import { ask, get, query } from "./api.js";
import { filters, form, stateFilter } from "./forms.js";
import { every, live } from "./live.js";
import { NAME, ROOM, showList } from "./rooms.js";
import { badge, button, dialog, h, head, path, say, section, settled, table, time, wantedOf } from "./ui.js";
import { span, text, word } from "./text.js";

/** @param {HTMLElement} main @param {string[]} _ @param {URLSearchParams} search */
export async function render(main, _, search) {
  const place = h("div"), erased = h("div");
  const wanted = wantedOf(search, "participant", "name", "room", "state");
  const read = () => showList(place, "/participants", wanted, [
    NAME,
    ROOM,
    { name: text("words.state"), cell: ({ state, censored }) => censored && state !== "left" ? badge(text("presence.censored"), "warn") : badge(word("presence", state), state === "connected" ? "good" : state === "reconnecting" ? "warn" : "") },
    { name: text("words.joined"), cell: ({ joined_at, session }) => h("a", { href: `#${path("sessions", session)}` }, time(joined_at)) },
    { name: text("words.length"), cell: ({ joined_at, left_at }) => span((left_at ? Date.parse(left_at) : Date.now()) - Date.parse(joined_at)), class: "figure" },
    { name: text("words.way"), cell: ({ path: way }) => word("way", way) },
  ]);
  const readErased = async () => {
    const { data } = await get("/erasures?limit=10", { quiet: true });
    erased.replaceChildren(...(data.length === 0 ? [] : [section(text("erase.list"), table(text("erase.list"), [
      { name: text("words.state"), cell: ({ state }) => badge(word("erasure", state), state === "done" ? "" : "warn") },
      { name: text("erase.now"), cell: ({ pseudonym }) => h("code", { text: pseudonym }) },
      { name: text("words.rooms"), cell: ({ rooms }) => rooms.join(", ") || text("erase.everywhere") },
      { name: text("words.since"), cell: ({ created_at }) => time(created_at) },
    ], data).table)]));
  };
  await Promise.all([read(), readErased()]);
  main.append(head(text("nav.participants"), { actions: [button(text("erase.button"), () => erase(wanted.participant ?? "", readErased), { class: "away" })] }), filters([
    { name: "name", label: text("words.name"), kind: "search" },
    { name: "participant", label: text("invite.id"), kind: "search" },
    { name: "room", label: text("words.room"), kind: "search" },
    stateFilter("presence", ["connected", "reconnecting", "left"]),
  ], search, "/participants"), place, erased);
  live(query({ type: ["participant.joined", "participant.left"] }), settled(300, read), read);
  every(5_000, readErased);
}

/** @param {string} participant @param {() => Promise<void>} after */
function erase(participant, after) {
  const shown = dialog(text("erase.title"), h("p", { text: text("erase.text") }), form([
    { name: "participant", label: text("invite.id"), value: participant, required: true },
    { name: "rooms", label: text("words.rooms"), hint: text("erase.roomsHint") },
  ], text("erase.button"), async ({ participant: whom, rooms }) => {
    const named = rooms.split(/[\s,]+/).filter(Boolean);
    await ask("POST", "/erasures", { participant: whom, ...(named.length && { rooms: named }) });
    shown.close();
    say(text("erase.begun"));
    await after();
  }, { away: true }));
}
