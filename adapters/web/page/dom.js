/** Short ways to elements. */

/**
 * The element with this id, which the page has.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {{ class?: string, text?: string }} [options]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, options = {}, ...children) {
  const made = document.createElement(name);
  if (options.class) made.className = options.class;
  if (options.text !== undefined) made.textContent = options.text;
  made.append(...children);
  return made;
}

/**
 * A drawing of the page's, by the end of its id.
 * @param {string} name
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), use = document.createElementNS(space, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Shows another drawing.
 * @param {Element} svg
 * @param {string} name
 */
export function setIcon(svg, name) {
  svg.firstElementChild?.setAttribute("href", `#icon-${name}`);
}

/**
 * Changes a text only if it is another one: what is the same need not be laid out anew.
 * @param {Node} node
 * @param {string} value
 */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/**
 * Keeps something for this tab (`sessionStorage`) or for this browser (`localStorage`); pages may be without either.
 * @typedef {"sessionStorage" | "localStorage"} Place
 */
export const memory = {
  /**
   * @param {Place} place
   * @param {string} key
   * @returns {any}
   */
  get(place, key) {
    try {
      return JSON.parse(window[place].getItem(key) ?? "null");
    } catch {
      return null;
    }
  },
  /**
   * @param {Place} place
   * @param {string} key
   * @param {unknown} value `null` forgets it.
   */
  set(place, key, value) {
    try {
      if (value === null) window[place].removeItem(key);
      else window[place].setItem(key, JSON.stringify(value));
    } catch { /* Without storage it is forgotten. */ }
  },
};
