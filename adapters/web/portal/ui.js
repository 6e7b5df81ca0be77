/** Elements of the pages. Texts come in by `textContent` only: whatever a participant calls itself, it is a text. */
import { moment, text, wholeDate } from "./text.js";

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * A new element. Attributes are set as they are; `class`, `text`, `on` (listeners) and flags are known.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, any>} [options]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else if (key === "on") for (const [type, listener] of Object.entries(value)) made.addEventListener(type, listener);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child instanceof Node || (typeof child === "string" && child !== "")).map((child) => /** @type {Node | string} */ (child)));
  return made;
}

/**
 * A new element of a drawing, with attributes as they are.
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number>} options
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function svg(name, options, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(options)) made.setAttribute(key, String(value));
  made.append(...children.map((child) => child || ""));
  return made;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {string | null | undefined} at */
export function time(at) {
  return at ? h("time", { datetime: at, title: wholeDate(at), text: moment(at) }) : h("span", { class: "faint", text: "–" });
}

/**
 * @param {string} to A page of the portal, such as `/rooms`.
 * @param {string} label
 * @param {Record<string, any>} [options]
 */
export const link = (to, label, options = {}) => h("a", { href: `#${to}`, text: label, ...options });

/** A path of the portal with parts that are any texts. @param {...string} parts */
export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

/**
 * @param {string} label
 * @param {() => unknown} act
 * @param {Record<string, any>} [options]
 */
export function button(label, act, options = {}) {
  return h("button", { type: "button", text: label, ...options, on: { click: act } });
}

/** A word for a state. Colour comes after the word. @param {string} label @param {"good" | "bad" | "warn" | ""} [tone] */
export const badge = (label, tone = "") => h("span", { class: `badge ${tone}`, text: label });

/**
 * What stands where nothing is: what would be here, and how it comes.
 * @param {string} title
 * @param {string} what
 * @param {...Child} children
 */
export const empty = (title, what, ...children) => h("div", { class: "empty" }, h("p", { class: "lead", text: title }), h("p", { text: what }), ...children);

/**
 * The same for a list: if filters are set, they let nothing through.
 * @param {string} list Its page.
 * @param {Record<string, string | null>} wanted
 * @param {HTMLElement} [action]
 */
export const emptyList = (list, wanted, action = link("/rooms", text("overview.toRooms"), { class: "button" })) => Object.values(wanted).some(Boolean)
  ? empty(text("ui.noMatch"), text("ui.noMatchText"), link(list, text("ui.showAll"))) : empty(text(`${list.slice(1)}.empty`), text(`${list.slice(1)}.emptyText`), action);

/** The filters that a page's address has. @param {URLSearchParams} search @param {...string} names */
export const wantedOf = (search, ...names) => Object.fromEntries(names.map((name) => [name, search.get(name)]));

/**
 * Name and value, one below the other.
 * @param {[string, Child][]} pairs
 */
export const facts = (pairs) => h("dl", { class: "facts" }, ...pairs.map(([name, value]) => h("div", {}, h("dt", { text: name }), h("dd", {}, value))));

/**
 * @template Row
 * @typedef {{ name: string, cell: (row: Row) => Child, class?: string }} Column
 */

/**
 * A table, whose rows are sheets where it is narrow.
 * @template Row
 * @param {string} label
 * @param {Column<Row>[]} columns
 * @param {Row[]} rows
 */
export function table(label, columns, rows) {
  const body = h("tbody");
  /** @param {Row} row */
  const add = (row, first = false) => {
    const made = h("tr", {}, ...columns.map(({ name, cell, class: kind }) => h("td", { "data-name": name, class: kind }, cell(row))));
    if (first) body.prepend(made);
    else body.append(made);
    return made;
  };
  for (const row of rows) add(row);
  const head = h("thead", {}, h("tr", {}, ...columns.map(({ name, class: kind }) => h("th", { scope: "col", class: kind }, name || h("span", { class: "heard", text: text("ui.actions") })))));
  const table = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, head, body));
  return { table, body, add };
}

/**
 * A section with a heading.
 * @param {string} title
 * @param {...Child} children
 */
export const section = (title, ...children) => h("section", {}, h("h2", { text: title }), ...children);

/**
 * The head of a page: what it is, and what can be done with all of it.
 * @param {string} title
 * @param {{ over?: Child, badge?: Child, actions?: Child[] }} [more]
 */
export function head(title, { over, badge: mark, actions = [] } = {}) {
  document.title = `${title} – Parlour`;
  const heading = h("h1", { tabindex: "-1", text: title });
  return h("div", { class: "head" }, h("div", {}, over ? h("p", { class: "over" }, over) : null, h("div", { class: "title" }, heading, mark)), h("div", { class: "actions" }, ...actions));
}

/**
 * Says what has happened, to eyes and ears.
 * @param {string} what
 * @param {"" | "bad"} [tone]
 */
export function say(what, tone = "") {
  element("said").textContent = what;
  const toast = h("p", { class: `toast ${tone}`, text: what });
  element("toasts").append(toast);
  setTimeout(() => toast.remove(), tone ? 8_000 : 4_000);
}

/**
 * A dialog. It is gone when it closes.
 * @param {string} title
 * @param {...Child} children
 * @returns {HTMLDialogElement}
 */
export function dialog(title, ...children) {
  const id = `dialog-${document.querySelectorAll("dialog").length}`;
  const close = button("×", () => made.close(), { class: "bare close", "aria-label": text("ui.close") });
  const made = h("dialog", { "aria-labelledby": id }, h("div", { class: "bar" }, h("h2", { id, text: title }), close), ...children);
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

/**
 * Asks before what cannot be undone.
 * @param {string} title
 * @param {string} what
 * @param {string} doing The button's text.
 * @param {() => Promise<unknown>} act
 */
export function confirm(title, what, doing, act) {
  const problem = h("p", { class: "problem", role: "alert" });
  const go = button(doing, async () => {
    go.disabled = true;
    try {
      await act();
      shown.close();
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      go.disabled = false;
    }
  }, { class: "away" });
  const shown = dialog(title, h("p", { text: what }), problem, h("div", { class: "actions" }, button(text("ui.cancel"), () => shown.close()), go));
}

/**
 * A text to copy, in a field of its own.
 * @param {string} label
 * @param {string} value
 */
export function copyable(label, value) {
  const field = h("input", { type: "text", readonly: true, value, "aria-label": label });
  field.addEventListener("focus", () => field.select());
  const copy = button(text("ui.copy"), async () => {
    try {
      await navigator.clipboard.writeText(value);
      say(text("ui.copied"));
    } catch {
      field.focus();
    }
  }, { "aria-label": `${text("ui.copy")}: ${label}` });
  return h("div", { class: "copyable" }, h("span", { class: "label", text: label }), field, copy);
}

/**
 * A secret that is shown once.
 * @param {string} title
 * @param {string} what
 * @param {string} secret
 */
export function showSecret(title, what, secret) {
  const shown = dialog(title, h("p", { text: what }), copyable(text("ui.secret"), secret), h("div", { class: "actions" }, button(text("ui.kept"), () => shown.close(), { class: "main" })));
  return shown;
}

/**
 * Does something by a button, and tells what went wrong.
 * @param {string} label
 * @param {() => Promise<unknown>} act
 * @param {Record<string, any>} [options]
 */
export function doing(label, act, options = {}) {
  const made = button(label, async () => {
    made.disabled = true;
    try {
      await act();
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    } finally {
      made.disabled = false;
    }
  }, options);
  return made;
}

/** Waits for a pause in what calls it. What fails may work with the next call. @param {number} ms @param {() => Promise<unknown>} act */
export function settled(ms, act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => void act().catch(() => undefined), ms);
  };
}
