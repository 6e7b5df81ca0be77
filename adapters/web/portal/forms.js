/** Forms: what the API finds wrong stands at the field that it is about. */
import { Problem } from "./api.js";
import { h } from "./ui.js";
import { text, word } from "./text.js";

/**
 * @typedef {{
 *   name: string, label: string, hint?: string, pointer?: string,
 *   kind?: "text" | "number" | "check" | "select" | "password" | "checks" | "datetime-local" | "area" | "search",
 *   options?: [string, string][], value?: any, placeholder?: string, required?: boolean, autocomplete?: string, min?: number, max?: number,
 *   width?: "small" | "half" | "third",
 * }} Field
 */

let ids = 0;

/**
 * @param {Field} field
 * @returns {{ element: HTMLElement, read: () => any, problem: HTMLElement, focus: () => void }}
 */
function control({ name, label, hint, kind = "text", options = [], value, placeholder, required, autocomplete = "off", min, max, width }) {
  const id = `field-${++ids}`;
  const problem = h("p", { id: `${id}-problem`, class: "problem", role: "alert" });
  const told = hint ? h("p", { id: `${id}-hint`, class: "hint", text: hint }) : null;
  const described = [hint && `${id}-hint`, `${id}-problem`].filter(Boolean).join(" ");
  if (kind === "check") {
    const input = h("input", { id, name, type: "checkbox", checked: Boolean(value), "aria-describedby": described });
    return { element: h("div", { class: "field" }, h("label", { class: "check" }, input, h("span", { text: label })), told, problem), read: () => input.checked, problem, focus: () => input.focus() };
  }
  if (kind === "checks") {
    const boxes = options.map(([key, what]) => {
      const input = h("input", { type: "checkbox", name, value: key, checked: (value ?? []).includes(key) });
      return { input, element: h("label", { class: "check" }, input, h("span", { text: what })) };
    });
    return {
      element: h("fieldset", { class: `field ${width ?? ""}`, "aria-describedby": described }, h("legend", { text: label }), h("div", { class: "checks" }, ...boxes.map(({ element }) => element)), told, problem),
      read: () => boxes.filter(({ input }) => input.checked).map(({ input }) => input.value), problem, focus: () => boxes[0]?.input.focus(),
    };
  }
  const shared = { id, name, "aria-describedby": described, required };
  const input = kind === "select" ? h("select", shared, ...options.map(([key, what]) => h("option", { value: key, text: what, selected: String(value ?? "") === key })))
    : kind === "area" ? h("textarea", { ...shared, rows: "3", text: value ?? "" })
    : h("input", { ...shared, type: kind, value: value ?? "", placeholder, autocomplete, min, max, ...(kind === "text" && { spellcheck: "false", autocapitalize: "off" }) });
  const read = () => kind === "number" ? (input.value === "" ? null : Number(input.value)) : kind === "datetime-local" ? (input.value ? new Date(input.value).toISOString() : null) : input.value;
  return { element: h("div", { class: `field ${width ?? ""}` }, h("label", { for: id, text: label }), input, told, problem), read, problem, focus: () => input.focus() };
}

/**
 * A form. `send` gets the values by their names; what it throws is shown.
 * @param {Field[]} fields
 * @param {string} doing The button's text.
 * @param {(values: any, form: HTMLFormElement) => Promise<unknown>} send
 * @param {{ class?: string, away?: boolean }} [options]
 */
export function form(fields, doing, send, options = {}) {
  const controls = fields.map((field) => ({ field, ...control(field) }));
  const general = h("p", { class: "problem", role: "alert" });
  const go = h("button", { type: "submit", class: options.away ? "away" : "main", text: doing });
  const made = h("form", { novalidate: true, class: options.class ?? "form" }, ...controls.map(({ element }) => element), general, h("div", { class: "actions" }, go));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    for (const { problem, element } of [...controls, { problem: general, element: made }]) {
      problem.textContent = "";
      element.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
    }
    const missing = controls.find(({ field, read }) => field.required && (read() === "" || read() === null));
    if (missing) {
      missing.problem.textContent = text("ui.missing");
      missing.element.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
      return missing.focus();
    }
    go.disabled = true;
    try {
      await send(Object.fromEntries(controls.map(({ field, read }) => [field.name, read()])), made);
    } catch (error) {
      tell(/** @type {Error} */ (error));
    } finally {
      go.disabled = false;
    }
  });
  /** @param {Error} error */
  function tell(error) {
    let first = true, rest = error instanceof Problem && error.errors.length ? "" : error.message;
    for (const { pointer, detail } of error instanceof Problem ? error.errors : []) {
      const found = controls.find(({ field }) => pointer === (field.pointer ?? `/${field.name}`) || pointer.startsWith(`${field.pointer ?? `/${field.name}`}/`));
      if (!found) {
        rest += `${rest && " "}${pointer.slice(1)}: ${detail}`;
        continue;
      }
      found.problem.textContent = detail;
      found.element.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
      if (first) found.focus();
      first = false;
    }
    general.textContent = rest;
  }
  return made;
}

/**
 * A filter by state, with the words of a group.
 * @param {string} group
 * @param {string[]} states
 * @returns {Field}
 */
export const stateFilter = (group, states) => ({ name: "state", label: text("words.state"), kind: "select", options: [["", text("ui.all")], ...states.map((state) => /** @type {[string, string]} */ ([state, word(group, state)]))] });

/**
 * Filters of a list: they are in the page's address, so that it can be kept and sent.
 * @param {Field[]} fields
 * @param {URLSearchParams} given
 * @param {string} page
 */
export function filters(fields, given, page) {
  const controls = fields.map((field) => ({ field, ...control({ ...field, value: given.get(field.name) ?? field.value ?? "", width: "small" }) }));
  const apply = () => {
    const values = controls.map(({ field, read }) => [field.name, String(read() ?? "").trim()]).filter(([, value]) => value);
    const search = new URLSearchParams(values).toString();
    location.hash = search ? `${page}?${search}` : page;
  };
  const made = h("form", { class: "filters", role: "search", novalidate: true }, ...controls.map(({ element }) => element), h("button", { type: "submit", text: text("ui.filter") }));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  made.addEventListener("change", ({ target }) => { if (target instanceof HTMLSelectElement) apply(); });
  return made;
}
