/** Which tile is large: what somebody has chosen, or else a shared screen. */
import { element, icon, make, setIcon, setText } from "./dom.js";
import { text } from "./text.js";

/**
 * A tile that can be shown large.
 * @typedef {{ id: string, tile: HTMLLIElement, button: HTMLButtonElement, name: string, isPictured: boolean, isShared: boolean }} Tile
 */

/**
 * The button of a tile that shows it large.
 * @param {HTMLElement} tile
 * @param {HTMLElement} picture Who clicks on the picture means the same.
 * @param {() => void} pressed
 */
export function largeButton(tile, picture, pressed) {
  const button = make("button", { class: "enlarge" }, icon("large"));
  button.type = "button";
  button.addEventListener("click", pressed);
  picture.addEventListener("click", () => { if (tile.classList.contains("pictured")) pressed(); });
  return button;
}

export class Focus {
  /** What was chosen: a tile, that all be of one size (`null`), or nothing. @type {string | null | undefined} */
  #chosen;
  /** @type {string | null} */
  #shown = null;
  /** The shared screens that were there. @type {Set<string>} */
  #known = new Set();
  #stage = element("stage");
  #large = element("large");
  #people = element("people");

  /**
   * Shows this tile large, or no longer.
   * @param {string} id
   */
  toggle(id) {
    this.#chosen = this.#shown === id ? null : id;
  }

  /**
   * Puts each tile where it belongs.
   * @param {readonly Tile[]} tiles In their order.
   */
  arrange(tiles) {
    const shared = tiles.filter((tile) => tile.isShared);
    // A new screen is shown, whatever was chosen before.
    if (shared.some(({ id }) => !this.#known.has(id))) this.#chosen = undefined;
    this.#known = new Set(shared.map(({ id }) => id));
    const chosen = tiles.find(({ id, isPictured }) => id === this.#chosen && isPictured);
    if (!chosen && typeof this.#chosen === "string") this.#chosen = undefined;
    const large = chosen ?? (this.#chosen === undefined ? shared.at(-1) : undefined);
    this.#shown = large?.id ?? null;
    const focused = document.activeElement;
    let place = 0;
    for (const tile of tiles) {
      const isLarge = tile === large, { button } = tile;
      if (isLarge) {
        if (tile.tile.parentElement !== this.#large) this.#large.append(tile.tile);
      } else if (this.#people.children[place] !== tile.tile) {
        this.#people.insertBefore(tile.tile, this.#people.children[place] ?? null);
      }
      if (!isLarge) place++;
      button.hidden = !tile.isPictured;
      button.setAttribute("aria-pressed", String(isLarge));
      if (button.firstElementChild) setIcon(button.firstElementChild, isLarge ? "small" : "large");
      const label = text("room.enlarge", { name: tile.name });
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
    // What is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
    const columns = Math.ceil(Math.sqrt(place));
    this.#people.style.setProperty("--columns", String(columns));
    this.#people.style.setProperty("--rows", String(Math.ceil(place / columns)));
    this.#large.hidden = !large;
    this.#stage.classList.toggle("focused", large !== undefined);
    this.#people.classList.toggle("filmed", tiles.some((tile) => tile !== large && tile.isPictured));
  }
}

/** The tile of a shared screen. */
export function sharedTile() {
  const picture = make("div", { class: "picture" }), name = make("p", { class: "name" }), problem = make("p", { class: "trouble" });
  const tile = make("li", { class: "share" }, picture, make("div", { class: "label" }, icon("screen"), make("div", {}, name, problem)));
  /** @param {string} value */
  const show = (value) => setText(name, value);
  return { tile, picture, problem, show };
}
