/** The portal's texts, and dates and lengths as the browser's language and zone have them. */

/** @typedef {Record<string, string | number>} Values */

/** The language in use. @type {"en" | "de"} */
export const language = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => ["en", "de"].includes(tag)) === "de" ? "de" : "en";
const { strings } = await (language === "de" ? import("./strings.de.js") : import("./strings.en.js"));
// Dates follow the preferred variant of the language in use, such as that of Austria.
const locale = navigator.languages.find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;
const plurals = new Intl.PluralRules(language);

/**
 * @param {string} key
 * @returns {any}
 */
function find(key) {
  /** @type {any} */
  let found = strings;
  for (const part of key.split(".")) found = found?.[part];
  return found;
}

/**
 * The text of a key such as `rooms.title`.
 * @param {string} key
 * @param {Values} [values] What stands for `{name}`; `count` also chooses between `one` and `other`.
 * @returns {string}
 */
export function text(key, values = {}) {
  let found = find(key);
  if (found === undefined) throw new Error(`there is no text ${key}`);
  if (typeof found !== "string") found = found[plurals.select(Number(values.count)) === "one" ? "one" : "other"];
  return found.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ name) => String(values[name] ?? ""));
}

/**
 * The word for a value of the API, such as a state; the value itself if there is none.
 * @param {string} group
 * @param {string | null} value
 */
export function word(group, value) {
  if (value === null) return "–";
  const found = find(`${group}.${value}`);
  return typeof found === "string" ? found : value;
}

const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const short = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric" });

/** @param {number} value */
export const number = (value) => numbers.format(value);

/** @param {string} at */
export const wholeDate = (at) => full.format(new Date(at));
/** @param {string | number} at */
export const clockTime = (at) => clock.format(new Date(at));
/** @param {string | number} at */
export const shortDay = (at) => day.format(new Date(at));

/**
 * A moment: today its time, else its day, too.
 * @param {string} at
 */
export function moment(at) {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : short.format(date);
}

/**
 * A length of time by its two largest units.
 * @param {number | null} ms
 */
export function span(ms) {
  if (ms === null) return "–";
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [d, h, m, s] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d) return `${text("units.d", { n: d })} ${text("units.h", { n: h })}`;
  if (h) return `${text("units.h", { n: h })} ${text("units.min", { n: m })}`;
  if (m) return `${text("units.min", { n: m })} ${text("units.s", { n: s })}`;
  return text("units.s", { n: s });
}

/**
 * A place in a file, as players write it: `1:02:03`.
 * @param {number} ms
 */
export function position(ms) {
  const seconds = Math.round(ms / 1_000), two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** @param {number | null} bytes */
export function size(bytes) {
  if (bytes === null) return "–";
  for (const [unit, factor] of /** @type {const} */ ([["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])) {
    if (bytes >= factor) return `${number(bytes / factor)} ${unit}`;
  }
  return `${bytes} B`;
}

/** Fills every element that says which text it has, by `data-text`, or by `data-label` for one that is only heard. */
export function fill() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.getAttribute("data-text") ?? "");
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text(element.getAttribute("data-label") ?? ""));
}
