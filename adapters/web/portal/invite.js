/** How people come into a room: tickets, links for guests, and commands. */
import { ask, get } from "./api.js";
import { form } from "./forms.js";
import { copyable, h, section, svg } from "./ui.js";
import { text, wholeDate } from "./text.js";
import { encode } from "./uqr.js";

/** The parts of roles. */
export const ROLES = { participant: ["participant"], moderator: ["participant", "moderator"], listener: ["subscribe"] };

/**
 * A QR code. The frame is its quiet zone.
 * @param {string} value
 * @param {string} label
 */
export function qr(value, label) {
  const { size, data } = encode(value, { ecc: "L", border: 4 });
  const d = data.flatMap((row, y) => row.map((dark, x) => dark ? `M${x} ${y}h1v1h-1z` : "")).join("");
  return svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "qr", role: "img", "aria-label": label }, svg("path", { d }));
}

/** The address of a room's page. @param {string} room @param {string} kind @param {string} secret */
export const pageOf = (room, kind, secret) => `${location.origin}/room/${encodeURIComponent(room)}#${kind}=${secret}`;

/** @param {string} room */
export async function render(room) {
  const server = await get("/server");
  const isLocal = /\/\/(127\.|localhost|\[::1\])/.test(server.ticket_base) || ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const guest = h("div", { class: "result", "aria-live": "polite" }), ticket = h("div", { class: "result", "aria-live": "polite" });
  const link = form([
    { name: "ttl_s", label: text("invite.validFor"), kind: "select", options: [["86400", text("invite.day")], ["604800", text("invite.week")], ["2592000", text("invite.month")]], value: "604800" },
    { name: "lobby", label: text("invite.waits"), kind: "check" },
  ], text("invite.makeLink"), async ({ ttl_s, lobby }) => {
    const made = await ask("POST", `/rooms/${encodeURIComponent(room)}/guest-links`, { ttl_s: Number(ttl_s), ...(lobby && { lobby }) });
    const url = new URL(made.page, location.origin).href;
    guest.replaceChildren(qr(url, text("invite.qrLink")), h("div", {}, copyable(text("invite.link"), url), h("p", { class: "hint", text: text("invite.until", { at: wholeDate(made.expires_at) }) })));
  });
  const person = form([
    { name: "participant", label: text("invite.id"), required: true, hint: text("invite.idHint") },
    { name: "name", label: text("invite.name") },
    { name: "role", label: text("invite.role"), kind: "select", options: Object.keys(ROLES).map((role) => [role, text(`roles.${role}`)]) },
    { name: "ttl_s", label: text("invite.validFor"), kind: "select", options: [["600", text("invite.minutes")], ["3600", text("invite.hour")], ["86400", text("invite.day")], ["604800", text("invite.week")]], value: "3600" },
    { name: "lobby", label: text("invite.waits"), kind: "check" },
  ], text("invite.makeTicket"), async ({ participant, name, role, ttl_s, lobby }) => {
    const grants = ROLES[/** @type {keyof typeof ROLES} */ (role)];
    const made = await ask("POST", `/rooms/${encodeURIComponent(room)}/tokens`, { participant, ...(name && { name }), grants, ttl_s: Number(ttl_s), ...(lobby && { lobby }) });
    const url = pageOf(room, "ticket", made.ticket);
    ticket.replaceChildren(qr(made.ticket, text("invite.qrTicket")), h("div", {}, copyable(text("invite.ticket"), made.ticket), copyable(text("invite.pageLink"), url),
      copyable(text("invite.command"), `parlour join '${made.ticket}'`), h("p", { class: "hint", text: text("invite.until", { at: wholeDate(made.expires_at) }) })));
  });
  return [
    isLocal ? h("p", { class: "notice", text: text("invite.local") }) : null,
    section(text("invite.guests"), h("p", { class: "hint", text: text("invite.guestsText") }), h("div", { class: "beside" }, link, guest)),
    section(text("invite.person"), h("p", { class: "hint", text: text("invite.personText") }), h("div", { class: "beside" }, person, ticket)),
  ].filter((part) => part !== null);
}
