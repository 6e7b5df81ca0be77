/** API keys, and those who may log in here. */
import { ask, get } from "./api.js";
import { form } from "./forms.js";
import { every } from "./live.js";
import { badge, button, confirm, dialog, empty, h, head, say, section, showSecret, table, time } from "./ui.js";
import { text, word } from "./text.js";

const SCOPES = ["read", "rooms", "tokens", "moderate", "recordings", "webhooks", "admin"];

/** @param {HTMLElement} main */
export async function render(main) {
  const keys = h("div"), admins = h("div");
  let shown = "";
  const read = async (quiet = true) => {
    const [found, people] = await Promise.all([get("/keys", { quiet }), get("/admins", { quiet })]);
    // Buttons that are about to be pressed stay, if nothing has changed.
    const now = JSON.stringify([found.data, people.data]);
    if (now === shown) return;
    shown = now;
    keys.replaceChildren(table(text("nav.keys"), [
      { name: text("keys.id"), cell: ({ id }) => h("code", { text: id }) },
      { name: text("words.state"), cell: ({ revoked_at, former_until }) => revoked_at ? badge(text("keys.revoked"), "bad") : former_until && Date.parse(former_until) > Date.now() ? badge(text("keys.both"), "warn") : badge(text("keys.valid"), "good") },
      { name: text("keys.scopes"), cell: ({ scopes }) => scopes.map((/** @type {string} */ scope) => word("scopeNames", scope)).join(", ") },
      { name: text("words.made"), cell: ({ created_at }) => time(created_at) },
      { name: "", cell: ({ id, revoked_at }) => revoked_at ? null : h("div", { class: "actions" }, button(text("keys.rotate"), () => rotate(id, read), { "aria-label": `${text("keys.rotate")}: ${id}` }), button(text("keys.revoke"), () => confirm(text("keys.revokeTitle", { id }), text("keys.revokeText"), text("keys.revoke"), async () => {
        await ask("DELETE", `/keys/${encodeURIComponent(id)}`);
        await read();
      }), { class: "away", "aria-label": `${text("keys.revoke")}: ${id}` })) },
    ], found.data).table);
    admins.replaceChildren(people.data.length === 0 ? empty(text("admins.empty"), text("admins.emptyText")) : table(text("admins.title"), [
      { name: text("words.name"), cell: ({ name }) => name },
      { name: text("words.made"), cell: ({ created_at }) => time(created_at) },
      { name: text("admins.password"), cell: ({ updated_at }) => time(updated_at) },
      { name: "", cell: ({ name }) => h("div", { class: "actions" }, button(text("admins.set"), () => setPassword(name, read), { "aria-label": `${text("admins.set")}: ${name}` }), button(text("admins.delete"), () => confirm(text("admins.deleteTitle", { name }), text("admins.deleteText"), text("admins.delete"), async () => {
        await ask("DELETE", `/admins/${encodeURIComponent(name)}`);
        await read();
      }), { class: "away", "aria-label": `${text("admins.delete")}: ${name}` })) },
    ], people.data).table);
  };
  await read(false);
  main.append(head(text("nav.keys"), { actions: [button(text("keys.make"), () => make(read), { class: "main" })] }), h("p", { class: "lead", text: text("keys.text") }), keys,
    section(text("admins.title"), h("p", { class: "hint", text: text("admins.text") }), admins, h("div", { class: "actions" }, button(text("admins.add"), () => setPassword("", read)))));
  every(3_000, read);
}

/** @param {() => Promise<void>} read */
function make(read) {
  const shown = dialog(text("keys.make"), form([
    { name: "id", label: text("keys.id"), hint: text("keys.idHint") },
    { name: "scopes", label: text("keys.scopes"), kind: "checks", options: SCOPES.map((scope) => /** @type {[string, string]} */ ([scope, `${word("scopeNames", scope)} – ${text(`scopes.${scope}`)}`])) },
  ], text("keys.make"), async ({ id, scopes }) => {
    const made = await ask("POST", "/keys", { ...(id && { id }), scopes });
    shown.close();
    showSecret(text("keys.secret"), text("keys.secretText"), `${made.id}.${made.secret}`);
    await read();
  }));
}

/** @param {string} id @param {() => Promise<void>} read */
function rotate(id, read) {
  const shown = dialog(text("keys.rotateTitle", { id }), h("p", { text: text("keys.rotateText") }), form([
    { name: "keep_former_s", label: text("keys.keepFormer"), kind: "select", options: [["0", text("keys.notAtAll")], ["3600", text("invite.hour")], ["86400", text("invite.day")], ["604800", text("invite.week")]], value: "86400" },
  ], text("keys.rotate"), async ({ keep_former_s }) => {
    const made = await ask("POST", `/keys/${encodeURIComponent(id)}/rotate`, { keep_former_s: Number(keep_former_s) });
    shown.close();
    showSecret(text("keys.secret"), text("keys.secretText"), `${made.id}.${made.secret}`);
    await read();
  }));
}

/** @param {string} name @param {() => Promise<void>} read */
function setPassword(name, read) {
  const shown = dialog(text(name ? "admins.set" : "admins.add"), form([
    { name: "name", label: text("words.name"), value: name, required: true, autocomplete: "off" },
    { name: "password", label: text("login.password"), kind: "password", required: true, autocomplete: "new-password", hint: text("admins.passwordHint") },
  ], text("ui.save"), async ({ name: whom, password }) => {
    await ask("PUT", `/admins/${encodeURIComponent(whom)}`, { password });
    shown.close();
    say(text("ui.saved"));
    await read();
  }));
}
