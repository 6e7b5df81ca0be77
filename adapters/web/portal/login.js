/** Logging in: at the beginning, and in a dialog over whatever is shown when a login is over. */
import { enter, leave, onLoginNeeded, setToken, whoIsIn } from "./api.js";
import { form } from "./forms.js";
import { element, h } from "./ui.js";
import { text } from "./text.js";

/** @param {any} who */
function show(who) {
  element("admin").textContent = who.password_required ? who.admin : text("login.anybody");
  element("log-out").hidden = !who.password_required;
}

/** Asks until somebody is logged in. */
function askInDialog() {
  return new Promise((/** @type {(value: void) => void} */ resolve) => {
    const wasShown = !element("shell").hidden;
    const fields = form([
      { name: "name", label: text("login.name"), required: true, autocomplete: "username" },
      { name: "password", label: text("login.password"), kind: "password", required: true, autocomplete: "current-password" },
    ], text("login.in"), async (values) => {
      show(await enter(values));
      made.close();
      made.remove();
      resolve();
    });
    const made = h("dialog", { id: "login", "aria-labelledby": "login-title" }, h("h2", { id: "login-title", text: text("login.title") }), h("p", { text: text(wasShown ? "login.over" : "login.first") }), fields, h("p", { class: "hint", text: text("login.hint") }));
    // There is nothing to see without a login.
    made.addEventListener("cancel", (event) => event.preventDefault());
    made.addEventListener("close", () => { if (made.isConnected) made.showModal(); });
    document.body.append(made);
    made.showModal();
  });
}

/** Takes up the login of this browser, or makes one. */
async function begin() {
  const who = await whoIsIn();
  setToken(who.csrf_token);
  // Another tab may have logged in in the meantime.
  if (who.admin) return show(who);
  if (!who.password_required) return show(await enter({}));
  await askInDialog();
}

/** Has requests ask for a login whenever they need one. */
export function prepare() {
  onLoginNeeded(begin);
  element("log-out").addEventListener("click", async () => {
    await leave();
    location.reload();
  });
}
