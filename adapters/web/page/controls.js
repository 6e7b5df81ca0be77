/** The microphone by its buttons: muted or not, and heard while something is held. */
import { chosen, NONE } from "./devices.js";
import { element, setIcon } from "./dom.js";
import { text } from "./text.js";

/** So long one is heard after letting go: the last syllable is still under way. */
const TAIL_MS = 200;

/** What this page's participant says into the room. */
export class Voice {
  /** @type {import("../dist/index.js").Microphone | null} */
  #microphone = null;
  #isMuted = chosen.muted;
  #isHeld = false;
  #isApplying = false;
  #tail = 0;
  #stop = new AbortController();
  #mute = element("mute");
  #hold = element("hold");

  /**
   * @param {import("../dist/index.js").Room} room
   * @param {(problem: { code?: string, message?: string } | null) => void} told What is wrong with the microphone, or that nothing is.
   * @param {(isMuted: boolean) => void} changed
   */
  constructor(room, told, changed) {
    this.room = room;
    this.told = told;
    this.changed = changed;
    const { signal } = this.#stop;
    this.#mute.addEventListener("click", () => void this.#press(), { signal });
    this.#holds(signal);
    room.on("microphoneLost", ({ error }) => this.#lost(error));
    room.on("publishRefused", ({ key, error }) => { if (key === "mic") this.#lost({ ...error, code: "refused" }); });
    this.#show();
  }

  /** The room is over. */
  close() {
    clearTimeout(this.#tail);
    this.#stop.abort();
  }

  /** Whether the participant may speak at all. */
  get isAllowed() {
    return this.room.grants.includes("publishAudio");
  }

  /**
   * Speaks by a device, or by none.
   * @param {string} id As `chosen.microphone`.
   */
  async use(id) {
    const former = this.#microphone;
    if (id === NONE) {
      this.#microphone = null;
      await former?.stop();
    } else if (id && former) {
      // If that fails, the former device goes on.
      await former.setDevice(id);
    } else {
      this.#microphone = null;
      try {
        this.#microphone = await this.room.microphone({ muted: !this.#isHeard, ...(id && { deviceId: id }) });
      } finally {
        this.#show();
      }
      await this.#apply();
    }
    this.told(null);
    this.#show();
  }

  /** Turns on the microphone that was chosen; without one, the participant listens. */
  async start() {
    if (chosen.microphone === NONE || !this.isAllowed) return this.#show();
    try {
      await this.use(chosen.microphone).catch((error) => {
        // It was chosen at another time, and is not there now.
        if (chosen.microphone === "" || error.code !== "microphoneMissing") throw error;
        return this.use("");
      });
    } catch (error) {
      this.#lost(/** @type {any} */ (error));
    }
  }

  /** Shows what is possible now. */
  refresh() {
    this.#show();
  }

  get #isHeard() {
    return !this.#isMuted || this.#isHeld;
  }

  /** @param {{ code?: string, message?: string }} error */
  #lost(error) {
    this.#microphone = null;
    this.#show();
    // The room's end is told elsewhere.
    if (this.room.connection !== "closed") this.told(error);
  }

  async #press() {
    if (!this.#microphone) {
      if (chosen.microphone === NONE) chosen.microphone = "";
      return this.start();
    }
    this.#isMuted = !this.#isMuted;
    chosen.muted = this.#isMuted;
    chosen.keep();
    await this.#apply();
    this.changed(this.#isMuted);
  }

  /** Has the microphone be as it should, whatever is pressed in the meantime. */
  async #apply() {
    this.#show();
    if (this.#isApplying) return;
    this.#isApplying = true;
    try {
      while (this.#microphone && this.#microphone.muted === this.#isHeard) await this.#microphone.setMuted(!this.#isHeard);
    } catch { /* The microphone is gone, or the room; both are told. */ } finally {
      this.#isApplying = false;
    }
  }

  /** @param {boolean} held */
  #talk(held) {
    clearTimeout(this.#tail);
    if (held === this.#isHeld) return;
    const change = () => {
      this.#isHeld = held;
      void this.#apply();
    };
    if (held) change();
    else this.#tail = setTimeout(change, TAIL_MS);
  }

  /** @param {AbortSignal} signal */
  #holds(signal) {
    const begin = () => { if (this.#microphone && this.#isMuted) this.#talk(true); };
    const end = () => this.#talk(false);
    this.#hold.addEventListener("pointerdown", (event) => {
      this.#hold.setPointerCapture(event.pointerId);
      begin();
    }, { signal });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) this.#hold.addEventListener(name, end, { signal });
    this.#hold.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
    // Who cannot hold, as with a screen reader, presses to begin and to end.
    this.#hold.addEventListener("click", (event) => {
      if (event.detail === 0 && !event.pointerType) this.#talk(!this.#isHeld);
    }, { signal });
    document.addEventListener("keydown", (event) => {
      if (!isSpace(event) || !this.#takesSpace(event.target)) return;
      event.preventDefault();
      if (!event.repeat) begin();
    }, { signal });
    document.addEventListener("keyup", (event) => {
      if (!isSpace(event)) return;
      // It is no click on the button either.
      if (this.#takesSpace(event.target)) event.preventDefault();
      end();
    }, { signal });
    addEventListener("blur", end, { signal });
    document.addEventListener("visibilitychange", end, { signal });
  }

  /**
   * Whether space means to talk, and not what it means to the element that has the focus.
   * @param {EventTarget | null} target
   */
  #takesSpace(target) {
    if (!this.#microphone || !this.#isMuted || !(target instanceof Element)) return false;
    return target === this.#hold || !target.closest("button, input, textarea, select, a, dialog, [role='log']");
  }

  #show() {
    const isOn = this.#microphone !== null, drawing = this.#mute.querySelector("svg");
    this.#mute.hidden = !this.isAllowed;
    this.#mute.classList.toggle("live", isOn && !this.#isMuted);
    element("mute-text").textContent = text(`controls.${!isOn ? "useMicrophone" : this.#isMuted ? "unmute" : "mute"}`);
    if (drawing) setIcon(drawing, isOn && !this.#isMuted ? "mic" : "mic-off");
    this.#hold.hidden = !isOn || !this.#isMuted;
    this.#hold.setAttribute("aria-pressed", String(this.#isHeld));
    element("hold-text").textContent = text(this.#isHeld ? "controls.talking" : "controls.hold");
  }
}

/** @param {KeyboardEvent} event */
function isSpace({ key, ctrlKey, altKey, metaKey }) {
  return key === " " && !ctrlKey && !altKey && !metaKey;
}
