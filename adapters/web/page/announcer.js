/**
 * Says to screen readers what others see happen. What comes together is said together, and not more often than people can listen.
 */
import { listed, text } from "./text.js";

/** So long more of the same is waited for. */
const GATHER_MS = 1_200;
/** From one announcement to the next. */
const PAUSE_MS = 3_000;
/** More than so many are counted, not named. */
const NAMED = 3;

export class Announcer {
  /** @type {string[]} */
  #joined = [];
  /** @type {string[]} */
  #left = [];
  /** @type {Set<string>} */
  #said = new Set();
  #timer = 0;
  #last = 0;

  /** @param {HTMLElement} region A live region. */
  constructor(region) {
    this.region = region;
  }

  /** @param {string} name */
  joined(name) {
    this.#joined.push(name);
    this.#soon();
  }

  /** @param {string} name */
  left(name) {
    // Who came and went while nobody listened is nothing to tell.
    const index = this.#joined.indexOf(name);
    if (index >= 0) this.#joined.splice(index, 1);
    else this.#left.push(name);
    this.#soon();
  }

  /** @param {string} sentence */
  say(sentence) {
    this.#said.add(sentence);
    this.#soon();
  }

  #soon() {
    if (this.#timer) return;
    const wait = Math.max(GATHER_MS, this.#last + PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => this.#tell(), wait);
  }

  #tell() {
    this.#timer = 0;
    this.#last = performance.now();
    const sentences = [...this.#said, crowd("joined", "manyJoined", this.#joined), crowd("left", "manyLeft", this.#left)];
    [this.#joined, this.#left, this.#said] = [[], [], new Set()];
    this.region.textContent = sentences.filter(Boolean).join(" ");
  }
}

/**
 * @param {string} few
 * @param {string} many
 * @param {readonly string[]} names
 */
function crowd(few, many, names) {
  if (names.length === 0) return "";
  return names.length > NAMED ? text(`announce.${many}`, { count: names.length }) : text(`announce.${few}`, { names: listed(names) });
}
