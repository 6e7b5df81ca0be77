/** Messages of those in the room. They are nowhere kept. */
import { element, make } from "./dom.js";
import { language, text } from "./text.js";

/** The topic of messages that people write. */
const TOPIC = "chat";
const MAX_BYTES = 640;
/** So many are shown; a long evening must not fill the page. */
const MAX_SHOWN = 500;

/** Where the chat covers all else. As the style sheet has it. */
const narrow = matchMedia("(width < 52rem)");

const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

export class Chat {
  #unread = 0;
  #pane = element("chat");
  #list = element("messages");
  #field = /** @type {HTMLTextAreaElement} */ (element("message"));
  #button = element("chat-open");
  #problem = element("chat-problem");
  #stop = new AbortController();

  /**
   * @param {import("../dist/index.js").Room} room
   * @param {(id: string) => string} nameOf
   * @param {(name: string) => void} missed A message came that is not shown now.
   */
  constructor(room, nameOf, missed) {
    this.room = room;
    this.nameOf = nameOf;
    this.missed = missed;
    const { signal } = this.#stop;
    this.#list.replaceChildren(element("no-messages"));
    element("no-messages").hidden = false;
    this.#field.value = this.#problem.textContent = "";
    this.show(false);
    narrow.addEventListener("change", () => this.#cover(), { signal });
    this.#button.addEventListener("click", () => this.show(Boolean(this.#pane.hidden), true), { signal });
    element("chat-close").addEventListener("click", () => this.show(false, true), { signal });
    this.#pane.addEventListener("keydown", (event) => { if (event.key === "Escape") this.show(false, true); }, { signal });
    element("chat-form").addEventListener("submit", (event) => { event.preventDefault(); void this.#send(); }, { signal });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#send();
    }, { signal });
    room.on("message", ({ from, topic, text: said }) => { if (topic === TOPIC) this.#take(from, said); });
  }

  /** The room is over. */
  close() {
    this.#stop.abort();
    this.#pane.hidden = true;
    this.#cover();
  }

  /** What is covered cannot have the focus. */
  #cover() {
    for (const part of element("room").children) {
      if (part !== this.#pane) part.toggleAttribute("inert", narrow.matches && !this.#pane.hidden);
    }
  }

  /**
   * @param {boolean} shown
   * @param {boolean} [byUser] Then the focus moves, too.
   */
  show(shown, byUser = false) {
    this.#pane.hidden = !shown;
    this.#button.setAttribute("aria-expanded", String(shown));
    this.#cover();
    if (shown) this.#count(0);
    const may = this.room.grants.includes("sendMessages");
    element("chat-form").hidden = !may;
    if (!may) this.#problem.textContent = text("chat.noGrant");
    if (!byUser) return;
    if (shown) (may ? this.#field : this.#list).focus();
    else this.#button.focus();
  }

  async #send() {
    const said = this.#field.value.trim();
    if (said === "") return;
    if (new TextEncoder().encode(said).length > MAX_BYTES) {
      this.#problem.textContent = text("chat.tooLong");
      return;
    }
    this.#problem.textContent = "";
    this.#field.value = "";
    try {
      await this.room.send(TOPIC, said);
      this.#add(text("chat.me"), said, true);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      this.#problem.textContent = text("chat.failed", { reason: message });
      // What was written is not lost.
      if (this.#field.value === "") this.#field.value = said;
    }
  }

  /**
   * @param {string} from
   * @param {string} said
   */
  #take(from, said) {
    const name = this.nameOf(from);
    this.#add(name, said, false);
    if (!this.#pane.hidden) return;
    this.#count(this.#unread + 1);
    this.missed(name);
  }

  /**
   * @param {string} name
   * @param {string} said
   * @param {boolean} mine
   */
  #add(name, said, mine) {
    const list = this.#list, now = new Date();
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const at = make("time", { text: time.format(now) });
    at.dateTime = now.toISOString();
    element("no-messages").hidden = true;
    list.append(make(
      "div", { class: mine ? "message mine" : "message" },
      make("p", { class: "from" }, make("span", { text: name }), at), make("p", { class: "body", text: said }),
    ));
    while (list.children.length > MAX_SHOWN) list.children[1]?.remove();
    if (atEnd || mine) list.scrollTop = list.scrollHeight;
  }

  /** @param {number} unread */
  #count(unread) {
    this.#unread = unread;
    const badge = element("unread");
    badge.hidden = unread === 0;
    const [seen, heard] = badge.children;
    if (seen) seen.textContent = unread > 99 ? "99+" : String(unread);
    if (heard) heard.textContent = unread ? text("controls.unread", { count: unread }) : "";
  }
}
