/** Who is in the room, who speaks, how loud, and what they show. */
import { element, icon, make, setIcon, setText } from "./dom.js";
import { Picture } from "./pictures.js";
import { text } from "./text.js";
import { Focus, largeButton, sharedTile } from "./tiles.js";

/**
 * @typedef {import("../dist/index.js").Participant} Participant
 * @typedef {import("../dist/index.js").Room} Room
 * @typedef {{ tile: HTMLLIElement, place: HTMLElement, button: HTMLButtonElement, picture: Picture | null, source: unknown, problem: HTMLElement }} Shown
 * @typedef {Shown & { sign: SVGElement, name: Text, you: HTMLElement, state: HTMLElement, raised: HTMLElement, bar: HTMLElement, level: number }} Card
 * @typedef {Shown & { show: (name: string) => void }} Shared
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
  /** The shared screens. @type {Map<string, Shared>} */
  #screens = new Map();
  #focus = new Focus();
  /** Runs while this page's participant speaks. */
  #speaks = 0;

  /** @param {Room} room */
  constructor(room) {
    this.room = room;
    for (const list of ["people", "large"]) element(list).replaceChildren();
    for (const event of /** @type {const} */ (["cameraChanged", "screenChanged"])) room.on(event, () => this.show());
  }

  /** Shows who is there now. */
  show() {
    const { participants, count } = this.room;
    const order = [...participants.values()].sort((one, other) => Number(other.isLocal) - Number(one.isLocal));
    const screens = order.flatMap((participant) => (
      participant.streams.filter(({ kind, muted }) => kind === "screen" && !muted).map(({ key }) => ({ participant, key, id: `${participant.id}/${key}` }))
    ));
    drop(this.#cards, (id) => participants.has(id));
    drop(this.#screens, (id) => screens.some((screen) => screen.id === id));
    const shared = screens.map(({ participant, key, id }) => {
      const shown = this.#screens.get(id) ?? this.#share(id), { isLocal } = participant;
      const name = isLocal ? text("room.ownScreen") : text("room.screen", { name: nameOf(participant) });
      shown.show(name);
      this.#picture(shown, isLocal ? this.room.currentScreen?.stream : key, participant);
      return { id, tile: shown.tile, button: shown.button, name, isPictured: shown.picture !== null, isShared: !isLocal };
    });
    const people = order.map((participant) => {
      const card = this.#cards.get(participant.id) ?? this.#add(participant.id), { isLocal } = participant;
      update(card, participant, participant.isSpeaking || (isLocal && this.#speaks !== 0));
      const camera = participant.streams.find(({ kind, muted }) => kind === "video" && !muted);
      this.#picture(card, camera && (isLocal ? this.room.currentCamera?.stream : camera.key), participant);
      return { id: participant.id, tile: card.tile, button: card.button, name: nameOf(participant), isPictured: card.picture !== null, isShared: false };
    });
    this.#focus.arrange([...shared, ...people]);
    setText(element("count"), text("room.people", { count }));
    const unseen = count - participants.size;
    setText(element("more"), unseen > 0 ? text("room.more", { count: unseen }) : count === 1 ? text("room.alone") : "");
  }

  /** The room is over: nothing is captured or watched for it any more. */
  close() {
    drop(this.#cards, () => false);
    drop(this.#screens, () => false);
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

  /**
   * Has a tile show the picture of a source, or none: the key of a stream, or what is captured here.
   * @param {Shown} shown
   * @param {string | MediaStream | undefined} source
   * @param {Participant} participant
   */
  #picture(shown, source, { id }) {
    if (source === shown.source) return;
    shown.picture?.close();
    shown.source = source;
    setText(shown.problem, "");
    const { tile, place } = shown;
    shown.picture = source === undefined ? null
      : source instanceof MediaStream ? Picture.mine(source, tile, place)
      : Picture.of(this.room, { participant: id, key: source }, tile, place, (problem) => setText(shown.problem, problem));
  }

  /** @param {string} id */
  #large(id) {
    this.#focus.toggle(id);
    this.show();
  }

  /** @param {string} id */
  #share(id) {
    const { tile, picture: place, problem, show } = sharedTile();
    const button = largeButton(tile, place, () => this.#large(id));
    tile.append(button);
    /** @type {Shared} */
    const added = { tile, place, button, picture: null, source: undefined, problem, show };
    this.#screens.set(id, added);
    return added;
  }

  /** @param {string} id */
  #add(id) {
    const name = document.createTextNode("");
    const sign = icon("mic"), you = make("span", { class: "you" }), state = make("p", { class: "state" });
    const raised = make("p", { class: "raised" }, icon("hand"), make("span", { text: text("state.hand") }));
    const bar = make("i"), meter = make("div", { class: "meter" }, bar), problem = make("p", { class: "trouble" });
    meter.setAttribute("aria-hidden", "true");
    const place = make("div", { class: "picture" });
    const label = make(
      "div", { class: "label" }, make("span", { class: "sign" }, sign),
      make("div", {}, make("p", { class: "name" }, name, " ", you), make("div", { class: "facts" }, state, problem, raised)),
    );
    const tile = make("li", { class: "person" }, place, label, meter);
    const button = largeButton(tile, place, () => this.#large(id));
    tile.append(button);
    /** @type {Card} */
    const added = { tile, place, button, picture: null, source: undefined, problem, sign, name, you, state, raised, bar, level: 0 };
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
 * Takes away the tiles that are there no longer.
 * @param {Map<string, Shown>} tiles
 * @param {(id: string) => boolean} isThere
 */
function drop(tiles, isThere) {
  for (const [id, { tile, picture }] of tiles) {
    if (isThere(id)) continue;
    picture?.close();
    tile.remove();
    tiles.delete(id);
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
  shown.tile.classList.toggle("speaks", speaks);
  shown.tile.classList.toggle("distant", distant);
  shown.raised.hidden = participant.attributes[HAND.key] !== HAND.up;
}
