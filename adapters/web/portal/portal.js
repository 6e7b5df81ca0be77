/**
 * The portal: pages for those who run a server. It uses the public API only.
 *
 * ```text
 * address (#/rooms/kitchen) ─► page ─► api ─► how: the same by curl and command
 *                               └────► live: events of the page's matter
 * ```
 *
 * A page is a module with `render(main, parts, search)`: it asks the API and fills `main`. What it begins ends with it.
 */
import { login, onAsked } from "./api.js";
import { clear, show } from "./how.js";
import { endAll } from "./live.js";
import { prepare } from "./login.js";
import { element, empty, h, head, link } from "./ui.js";
import { fill, text } from "./text.js";
import * as audit from "./audit.js";
import { renderNew } from "./compose.js";
import * as compositions from "./compositions.js";
import * as events from "./events.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import * as participants from "./participants.js";
import * as recordings from "./recordings.js";
import * as room from "./room.js";
import * as rooms from "./rooms.js";
import * as server from "./server.js";
import * as session from "./sessions.js";
import * as webhooks from "./webhooks.js";

/** @typedef {(main: HTMLElement, parts: string[], search: URLSearchParams) => Promise<void>} Render */

/** The pages, and those of one thing. @type {Record<string, { list: Render, one?: Render }>} */
const PAGES = {
  "": { list: overview.render },
  rooms: { list: rooms.render, one: room.render },
  sessions: { list: session.render, one: session.renderOne },
  participants: { list: participants.render },
  recordings: { list: recordings.render, one: recordings.renderOne },
  compositions: { list: compositions.render, one: (main, parts, search) => parts[0] === "new" ? renderNew(main, search) : compositions.renderOne(main, parts) },
  webhooks: { list: webhooks.render, one: webhooks.renderOne },
  events: { list: events.render },
  keys: { list: keys.render },
  audit: { list: audit.render },
  server: { list: server.render },
};

const main = element("main"), nav = element("nav"), menu = element("menu");
let visit = 0;

function fillNav() {
  nav.querySelector("ul")?.append(...Object.keys(PAGES).map((name) => h("li", {}, link(`/${name}`, text(`nav.${name || "overview"}`), { "data-page": name }))));
  menu.addEventListener("click", () => setMenu(menu.getAttribute("aria-expanded") !== "true"));
  nav.addEventListener("click", () => setMenu(false));
  addEventListener("keydown", ({ key }) => { if (key === "Escape") setMenu(false); });
}

/** @param {boolean} open */
function setMenu(open) {
  menu.setAttribute("aria-expanded", String(open));
  nav.classList.toggle("open", open);
}

async function go() {
  const mine = ++visit;
  endAll();
  clear();
  const [path = "", search = ""] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  const [name = "", ...parts] = path.split("/").slice(1).map(decoded);
  for (const item of nav.querySelectorAll("a")) {
    if (item.dataset.page === name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  const page = Object.hasOwn(PAGES, name) ? PAGES[name] : undefined;
  const render = parts[0] ? page?.one : page?.list;
  const sheet = h("div", { class: "page" });
  try {
    if (render) await render(sheet, parts, new URLSearchParams(search));
    else sheet.append(head(text("ui.noPage")), empty(text("ui.noPage"), text("ui.noPageText"), link("/", text("nav.overview"))));
  } catch (error) {
    endAll();
    const { message, kind } = /** @type {Error & { kind?: string }} */ (error);
    sheet.replaceChildren(head(text(kind === "not-found" ? "ui.notThere" : "ui.failedPage")), h("p", { class: "notice", text: message }), h("p", {}, link(`/${name}`, text(`nav.${name || "overview"}`))));
  }
  if (mine !== visit) return;
  const isFirst = main.childElementCount === 0;
  main.replaceChildren(sheet);
  main.dataset.page = location.hash;
  element("shell").hidden = false;
  if (!isFirst) main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

fill();
prepare();
fillNav();
onAsked(show);
addEventListener("hashchange", () => void go());
await login();
await go();
