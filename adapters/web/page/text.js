/** The page's texts, in the language that the browser prefers of those there are. */
import { strings } from "./strings.js";

/** @typedef {Record<string, string | number>} Values */

/** The language in use. */
export const language = choose(navigator.languages);
const plurals = new Intl.PluralRules(language);

/**
 * @param {readonly string[]} preferred
 * @returns {"en" | "de"}
 */
export function choose(preferred) {
  const known = preferred.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => Object.hasOwn(strings, tag));
  return known === "de" ? "de" : "en";
}

/**
 * The text of a key such as `enter.join`.
 * @param {string} key
 * @param {Values} [values] What stands for `{name}`; `count` also chooses between `one` and `other`.
 * @returns {string}
 */
export function text(key, values = {}) {
  /** @type {any} */
  let found = strings[language];
  for (const part of key.split(".")) found = found[part];
  if (typeof found !== "string") found = found[plurals.select(Number(values.count)) === "one" ? "one" : "other"];
  return found.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ name) => String(values[name] ?? ""));
}

/**
 * Names as a list in a sentence.
 * @param {readonly string[]} names
 */
export function listed(names) {
  if (names.length < 2) return names[0] ?? "";
  return text("announce.and", { some: names.slice(0, -1).join(", "), last: names[names.length - 1] ?? "" });
}

/** Fills every element that says which text it has, by `data-text`, or by `data-label` for one that is only heard. */
export function fill() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.getAttribute("data-text") ?? "");
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.getAttribute("data-label") ?? ""));
  }
}
