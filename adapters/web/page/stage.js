/** Who is in the room, who speaks, and how loud. */
import { element, icon, make, setIcon, setText } from "./dom.js";
import { text } from "./text.js";

/**
 * @typedef {import("../dist/index.js").Participant} Participant
 * @typedef {import("../dist/index.js").Room} Room
 * @typedef {{ card: HTMLLIElement, sign: SVGElement, name: Text, you: HTMLElement, state: HTMLElement, raised: HTMLElement, bar: HTMLElement, level: number }} Card
 */

/** The attribute of a raised hand, and its value. */
export const HAND = { key: "hand", up: "up" };

/** Levels that the meter spans, in dB below the loudest. */
const QUIET = -60, LOUD = -10;
/** Oneself speaks from this level on, and so long after. Of the others the server tells it. */
const VOICE = -45, SPEAKS_MS = 500;
/** Without smooth motion the meter knows a few lengths only. */
const steady = matchMedia("(prefers-reduced-motion: reduce)");

/** @param {Participant} participant */
export const nameOf = ({ name, id }) => name || id;

export class Stage {
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #list = element("people");
  /** Runs while this page's participant speaks. */
  #speaks = 0;

  /** @param {Room} room */
  constructor(room) {
    this.room = room;
    this.#list.replaceChildren();
  }

  /** Shows who is there now. */
  show() {
    const { participants, count } = this.room;
    const order = [...participants.values()].sort((one, other) => Number(other.isLocal) - Number(one.isLocal));
    for (const [id, { card }] of this.#cards) {
      if (participants.has(id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    order.forEach((participant, place) => {
      const card = this.#cards.get(participant.id) ?? this.#add(participant.id);
      update(card, participant, participant.isSpeaking || (participant.isLocal && this.#speaks !== 0));
      if (this.#list.children[place] !== card.card) this.#list.insertBefore(card.card, this.#list.children[place] ?? null);
    });
    setText(element("count"), text("room.people", { count }));
    const unseen = count - participants.size;
    setText(element("more"), unseen > 0 ? text("room.more", { count: unseen }) : count === 1 ? text("room.alone") : "");
  }

  #speak() {
    const before = this.#speaks;
    clearTimeout(before);
    this.#speaks = setTimeout(() => {
      this.#speaks = 0;
      this.show();
    }, SPEAKS_MS);
    if (before === 0) this.show();
  }

  /** @param {string} id */
  #add(id) {
    const name = document.createTextNode("");
    const sign = icon("mic"), you = make("span", { class: "you" }), state = make("p", { class: "state" });
    const raised = make("p", { class: "raised" }, icon("hand"), make("span", { text: text("state.hand") }));
    const bar = make("i"), meter = make("div", { class: "meter" }, bar);
    meter.setAttribute("aria-hidden", "true");
    const card = make(
      "li", { class: "person" },
      make("span", { class: "sign" }, sign), make("div", {}, make("p", { class: "name" }, name, " ", you), make("div", { class: "facts" }, state, raised)), meter,
    );
    const added = { card, sign, name, you, state, raised, bar, level: 0 };
    this.#cards.set(id, added);
    return added;
  }

  /**
   * Shows how loud who is. What nobody sees is not drawn.
   * @param {Readonly<Record<string, number>>} levels
   */
  hear(levels) {
    if (document.hidden) return;
    const { me } = this.room;
    if (me !== null && (levels[me] ?? -127) > VOICE) this.#speak();
    for (const [id, card] of this.#cards) {
      const loud = Math.min(1, Math.max(0, ((levels[id] ?? -127) - QUIET) / (LOUD - QUIET)));
      const level = Math.round(loud * (steady.matches ? 4 : 50)) / (steady.matches ? 4 : 50);
      if (level === card.level) continue;
      card.level = level;
      card.bar.style.transform = `scaleX(${level})`;
    }
  }
}

/**
 * @param {Card} shown
 * @param {Participant} participant
 * @param {boolean} isSpeaking
 */
function update(shown, participant, isSpeaking) {
  const sound = participant.streams.find(({ kind }) => kind === "audio");
  const distant = participant.connection === "reconnecting";
  const [sign, state] = distant ? ["away", "away"]
    : participant.censored ? ["mic-off", "censored"]
    : !sound ? ["ear", "listens"]
    : sound.muted ? ["mic-off", "muted"]
    : isSpeaking ? ["voice", "speaks"]
    : ["mic", "on"];
  const speaks = state === "speaks";
  setText(shown.name, nameOf(participant));
  setText(shown.you, participant.isLocal ? `(${text("room.you")})` : "");
  setText(shown.state, text(`state.${state}`));
  setIcon(shown.sign, sign);
  shown.card.classList.toggle("speaks", speaks);
  shown.card.classList.toggle("distant", distant);
  shown.raised.hidden = participant.attributes[HAND.key] !== HAND.up;
}
