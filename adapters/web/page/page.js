/**
 * The room page: enter, perhaps wait in the lobby, be in the room, and the end.
 *
 * ```text
 * admission ─► enter ─► [lobby] ─► room: stage, chat, Voice, DeviceDialog ─► end
 *    └► ticket, if there is none                                              └► enter, again
 * ```
 */
import { Room } from "/web/sdk/index.js";
import { admitted, claims, forget, forgetPass, invited, keep, read, room as roomName } from "./admission.js";
import { Announcer } from "./announcer.js";
import { Chat } from "./chat.js";
import { Voice } from "./controls.js";
import { chosen, DeviceDialog, list } from "./devices.js";
import { element, make, memory, setText } from "./dom.js";
import { PageError, told } from "./problems.js";
import { HAND, nameOf, Stage } from "./stage.js";
import { Show } from "./show.js";
import { fill, text } from "./text.js";

/** @typedef {import("./admission.js").Invitation} Invitation */

const SCREENS = ["enter", "ticket", "lobby", "room", "end"];
const NAME = "parlour:name";
const MAX_NAME_BYTES = 32;

const announcer = new Announcer(element("announcements"));
const nameField = /** @type {HTMLInputElement} */ (element("name"));

/** @type {Invitation | null} */
let invitation = null;

/**
 * Shows one screen, and has its heading read.
 * @param {string} name
 */
function show(name) {
  for (const screen of SCREENS) element(screen).hidden = screen !== name;
  const heading = element(name).querySelector("h1");
  document.title = text("room.title", { room: roomName });
  heading?.focus({ preventScroll: true });
}

// Entering

function begin() {
  const found = invited();
  if (found instanceof PageError) {
    end(found);
  } else if (found) {
    invitation = found;
    enter();
  } else {
    askForTicket();
  }
}

/** @param {string} [problem] */
function askForTicket(problem = "") {
  show("ticket");
  element("typed-problem").textContent = problem;
}

element("ticket-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = /** @type {HTMLTextAreaElement} */ (element("typed"));
  try {
    invitation = keep(read(typed.value));
  } catch (error) {
    const { title, text: what } = told(/** @type {PageError} */ (error));
    element("typed-problem").textContent = `${title}. ${what}`;
    typed.focus();
    return;
  }
  typed.value = "";
  enter();
});

function enter() {
  if (!invitation) return askForTicket();
  const isGuest = invitation.kind === "guest";
  element("name-field").hidden = !isGuest;
  element("joins-as").hidden = isGuest;
  if (invitation.kind === "ticket") {
    const { name, sub } = claims(invitation.ticket);
    element("joins-as").textContent = text("enter.joinsAs", { name: name || sub || "?" });
  } else if (nameField.value === "") {
    const number = 10 + Math.floor(Math.random() * 90);
    nameField.value = memory.get("localStorage", NAME) ?? text("enter.somebody", { number });
  }
  busy(false);
  show("enter");
  void listDevices();
}

const enterMicrophone = /** @type {HTMLSelectElement} */ (element("enter-microphone"));
const enterSpeaker = /** @type {HTMLSelectElement} */ (element("enter-speaker"));
const enterMuted = /** @type {HTMLInputElement} */ (element("enter-muted"));

async function listDevices() {
  enterMuted.checked = chosen.muted;
  await list(enterMicrophone, enterSpeaker, element("enter-speaker-field"));
}
navigator.mediaDevices?.addEventListener("devicechange", () => { if (!element("enter").hidden) void listDevices(); });

/** @param {boolean} joining */
function busy(joining) {
  const button = element("join");
  button.textContent = text(joining ? "enter.joining" : "enter.join");
  button.setAttribute("aria-disabled", String(joining));
}

element("enter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (element("join").getAttribute("aria-disabled") === "true") return;
  const name = nameField.value.trim();
  const problem = invitation?.kind === "guest" ? wrongWith(name) : "";
  element("name-problem").textContent = problem;
  nameField.setAttribute("aria-invalid", String(problem !== ""));
  if (problem) return nameField.focus();
  if (invitation?.kind === "guest") memory.set("localStorage", NAME, name);
  Object.assign(chosen, { microphone: enterMicrophone.value, speaker: enterSpeaker.value, muted: enterMuted.checked });
  chosen.keep();
  void join(name);
});

/** @param {string} name */
function wrongWith(name) {
  if (name === "") return text("enter.nameMissing");
  const isLong = new TextEncoder().encode(name).length > MAX_NAME_BYTES;
  return isLong ? `${text("problems.nameRefused.title")}. ${text("problems.nameRefused.text")}` : "";
}

/** @param {string} name */
async function join(name) {
  if (!invitation) return;
  busy(true);
  try {
    const { ticket, ...options } = await admitted(invitation, name);
    const room = await Room.join(ticket, { server: location.origin, ...options });
    new Stay(room).begin();
  } catch (error) {
    end(/** @type {any} */ (error));
  }
}

// In the room

/** The time from the join to the end. */
class Stay {
  #stage;
  /** @type {Chat | null} */
  #chat = null;
  /** @type {Voice | null} */
  #voice = null;
  /** @type {Show | null} */
  #pictures = null;
  /** @type {DeviceDialog | null} */
  #dialog = null;
  #stop = new AbortController();
  #wasCensored = false;
  #wasRecorded = false;
  /** The names of those who were here: what somebody wrote who has left is still theirs. @type {Map<string, string>} */
  #names = new Map();

  /** @param {Room} room */
  constructor(room) {
    this.room = room;
    this.#stage = new Stage(room);
  }

  begin() {
    const { room } = this, { signal } = this.#stop;
    room.on("closed", ({ reason, message }) => this.#end({ code: reason, message }));
    room.on("joined", () => this.#entered());
    room.on("reconnecting", () => notice("reconnecting", text("notices.reconnecting")));
    room.on("gestureNeeded", () => this.#showSilence());
    room.on("audioFailed", () => notice("sound", text("notices.soundFailed"), text("end.reload"), () => location.reload()));
    room.on("changed", () => this.#show());
    room.on("levels", ({ levels }) => this.#stage.hear(levels));
    room.on("participantJoined", ({ participant, present }) => { if (!present) announcer.joined(this.#name(participant)); });
    room.on("participantLeft", ({ participant }) => announcer.left(this.#name(participant)));
    room.on("streamPublished", ({ stream }) => this.#screen(stream, "announce.shares"));
    room.on("streamUnpublished", ({ stream }) => this.#screen(stream, "announce.sharesNoMore"));
    room.on("knocked", ({ participant, name }) => announcer.say(text("announce.knocked", { name: name || participant })));
    room.on("attributeChanged", ({ participant, key }) => {
      const raised = room.participants.get(participant)?.attributes[HAND.key] === HAND.up;
      if (key === HAND.key && raised && participant !== room.me) announcer.say(text("announce.hand", { name: this.#name(participant) }));
    });
    element("leave").addEventListener("click", () => void room.leave(), { signal });
    element("stop-waiting").addEventListener("click", () => void room.leave(), { signal });
    element("hand").addEventListener("click", () => void this.#raise(), { signal });
    // After a click with a mouse or finger the space bar is for talking again.
    element("controls").addEventListener("click", (event) => {
      if (event.detail > 0 && event.target instanceof Element) /** @type {HTMLElement | null} */ (event.target.closest("button"))?.blur();
    }, { signal });
    if (room.connection === "waiting") show("lobby");
    else if (room.connection === "closed") this.#end({ code: "other" });
    else this.#entered();
  }

  /** In the room, at first or again. */
  #entered() {
    notice("reconnecting", null);
    if (this.#voice) return announcer.say(text("notices.restored"));
    const { room } = this;
    show("room");
    announcer.say(text("announce.inRoom", { room: roomName }));
    this.#voice = new Voice(room, (problem) => this.#microphone(problem), (isMuted) => {
      announcer.say(text(isMuted ? "announce.muted" : "announce.unmuted"));
    });
    this.#pictures = new Show(room, (problem) => this.#camera(problem), (what) => announcer.say(what));
    this.#dialog = new DeviceDialog(room, this.#voice, this.#pictures);
    this.#chat = new Chat(room, (id) => this.#name(id), (name) => announcer.say(text("announce.message", { name })));
    if (chosen.speaker) room.setSpeaker(chosen.speaker).catch(() => { chosen.speaker = ""; });
    void this.#voice.start();
    this.#show();
    this.#showSilence();
  }

  #show() {
    if (!this.#voice) return;
    const { room } = this, me = room.me === null ? undefined : room.participants.get(room.me);
    for (const participant of room.participants.values()) this.#names.set(participant.id, nameOf(participant));
    this.#stage.show();
    this.#voice.refresh();
    this.#pictures?.refresh();
    showKnocks(room);
    element("hand").setAttribute("aria-pressed", String(me?.attributes[HAND.key] === HAND.up));
    notice("grant", this.#voice.isAllowed ? null : text("notices.noGrant"));
    element("recorded").hidden = !room.isRecorded;
    if (room.isRecorded !== this.#wasRecorded) {
      this.#wasRecorded = room.isRecorded;
      announcer.say(text(room.isRecorded ? "announce.recorded" : "announce.unrecorded"));
    }
    const censored = me?.censored ?? false;
    if (censored !== this.#wasCensored) {
      this.#wasCensored = censored;
      notice("censored", censored ? text("notices.censored") : null);
      if (!censored) announcer.say(text("notices.uncensored"));
    }
  }

  /** @param {string} id */
  #name(id) {
    const participant = this.room.participants.get(id);
    return participant ? nameOf(participant) : this.#names.get(id) ?? id;
  }

  async #raise() {
    const { room } = this, isUp = element("hand").getAttribute("aria-pressed") === "true";
    await room.setAttribute(HAND.key, isUp ? "" : HAND.up).catch(() => undefined);
  }

  #showSilence() {
    const { room } = this;
    notice("silent", room.needsGesture && this.#voice ? text("notices.silent") : null, text("notices.play"), () => void room.resumeAudio());
  }

  /** @param {{ code?: string, message?: string } | null} problem */
  #microphone(problem) {
    if (!problem) return notice("microphone", null);
    const codes = ["microphoneDenied", "microphoneMissing", "microphoneBusy"];
    const key = problem.code === "refused" ? "microphoneRefused" : codes.find((code) => code === problem.code) ?? "microphoneFailed";
    const again = () => void this.#voice?.start();
    notice("microphone", text(`notices.${key}`, { reason: problem.message ?? "" }), text("notices.tryAgain"), again);
  }

  /** @param {{ code?: string, message?: string } | null} problem */
  #camera(problem) {
    if (!problem) return notice("camera", null);
    const codes = ["cameraDenied", "cameraMissing", "cameraBusy", "cameraUnplugged", "pictureRefused", "encoderMissing"];
    const key = codes.find((code) => code === problem.code) ?? "pictureFailed";
    notice("camera", text(`notices.${key}`, { reason: problem.message ?? "" }), text("notices.dismiss"), () => notice("camera", null));
  }

  /**
   * Says that somebody shares a screen, or no longer.
   * @param {{ participant: string, key: string }} stream
   * @param {string} what
   */
  #screen({ participant, key }, what) {
    if (key === "screen" && participant !== this.room.me) announcer.say(text(what, { name: this.#name(participant) }));
  }

  /** @param {{ code?: string, message?: string }} reason */
  #end(reason) {
    this.#stop.abort();
    this.#stage.close();
    this.#pictures?.close();
    this.#voice?.close();
    this.#dialog?.close();
    this.#chat?.close();
    element("notices").replaceChildren();
    end(reason);
  }
}

/** @type {Map<string, HTMLElement>} */
const noticed = new Map();

/**
 * Shows something that has to be known, until it is over.
 * @param {string} name
 * @param {string | null} what `null` takes it away.
 * @param {string} [action]
 * @param {() => void} [act]
 */
function notice(name, what, action, act) {
  const shown = noticed.get(name);
  if (what !== null && shown?.isConnected && shown.firstElementChild?.textContent === what) return;
  shown?.remove();
  noticed.delete(name);
  if (what === null) return;
  const made = make("div", { class: "notice" }, make("p", { text: what }));
  if (action && act) {
    const button = make("button", { text: action });
    button.type = "button";
    button.addEventListener("click", act);
    made.append(button);
  }
  noticed.set(name, made);
  element("notices").append(made);
  announcer.say(what);
}

/**
 * Those in the lobby, for who may let them in.
 * @param {Room} room
 */
function showKnocks(room) {
  const { lobby } = room, section = element("knocks"), items = element("knocks-list");
  section.hidden = lobby.length === 0;
  if (lobby.length) setText(element("knocks-title"), text("knocks.title", { count: lobby.length }));
  const known = new Map([...items.children].map((item) => [item.getAttribute("data-id"), item]));
  for (const [id, item] of known) if (!lobby.some((waiting) => waiting.id === id)) item.remove();
  for (const { id, name } of lobby) {
    if (known.has(id)) continue;
    const item = make("li", {}, make("span", { text: name || id }));
    item.setAttribute("data-id", id);
    for (const [key, act] of /** @type {const} */ ([["admit", () => room.admit(id)], ["deny", () => room.deny(id)]])) {
      const button = make("button", { text: text(`knocks.${key}`), ...(key === "admit" && { class: "main" }) });
      button.type = "button";
      button.setAttribute("aria-label", `${text(`knocks.${key}`)}: ${name || id}`);
      button.addEventListener("click", () => { act().catch(() => undefined); });
      item.append(button);
    }
    items.append(item);
  }
}

// The end

/** @param {{ code?: string, message?: string, values?: Record<string, string> }} error */
function end(error) {
  const { name, title, text: what, actions: usual } = told(error);
  // A link lets a guest in again.
  const isGuest = invitation?.kind === "guest" && ["tokenExpired", "tokenRevoked"].includes(name);
  if (isGuest) forgetPass();
  /** @type {typeof usual} */
  const actions = isGuest ? ["again"] : usual;
  busy(false);
  if (name === "nameRefused") {
    element("name-problem").textContent = `${title}. ${what}`;
    return nameField.focus();
  }
  // What does not open the room need not be tried after a reload.
  if (actions.includes("other") || ["kicked", "denied", "banned"].includes(name)) forget();
  element("end-title").textContent = title;
  element("end-text").textContent = what;
  element("end").setAttribute("data-problem", name);
  element("end-actions").replaceChildren(...actions.map((action, place) => {
    const button = make("button", { text: text(`end.${action}`), ...(place === 0 && { class: "main" }) });
    button.type = "button";
    button.addEventListener("click", () => {
      if (action === "reload") location.reload();
      else if (action === "other") askForTicket();
      else enter();
      if (action === "again" || action === "here") void join(nameField.value.trim());
    });
    return button;
  }));
  show("end");
}

fill();
for (const heading of document.querySelectorAll(".room-name")) heading.textContent = roomName;
// Another link in the same tab. Who is in the room stays there; the link must not stay in the address all the same.
addEventListener("hashchange", () => {
  if (location.hash === "") return;
  if (element("room").hidden && element("lobby").hidden) begin();
  else history.replaceState(history.state, "", location.pathname);
});
begin();
