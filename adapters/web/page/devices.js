/** The choice of microphone and speaker. */
import { devices } from "/web/sdk/index.js";
import { element, memory } from "./dom.js";
import { text } from "./text.js";

/** The choice of no microphone. No device has such an id. */
export const NONE = "none";

const KEPT = "parlour:devices";

/** What was chosen last. The system's device is `""`. */
export const chosen = {
  /** @type {{ microphone: string, speaker: string, camera: string, muted: boolean }} */
  ...{ microphone: "", speaker: "", camera: "", muted: false },
  ...memory.get("localStorage", KEPT),
  /** Kept for the next visit. */
  keep() {
    const { microphone, speaker, camera, muted } = this;
    memory.set("localStorage", KEPT, { microphone, speaker, camera, muted });
  },
};

/**
 * Lists the devices in two fields; the field of speakers is hidden where pages may not choose one.
 * @param {HTMLSelectElement} microphone
 * @param {HTMLSelectElement} speaker
 * @param {HTMLElement} speakerField
 */
export async function list(microphone, speaker, speakerField) {
  const { microphones, speakers } = navigator.mediaDevices ? await devices() : { microphones: [], speakers: [] };
  // Without a name there is nothing to choose by; the browser tells names once it has asked the user.
  const named = microphones.filter(({ name, id }) => name && id !== "default");
  options(microphone, [
    ["", text("enter.systemMicrophone")], ...named.map(({ id, name }) => /** @type {[string, string]} */ ([id, name])),
    [NONE, text("enter.noMicrophone")],
  ], chosen.microphone);
  const loud = speakers.filter(({ name, id }) => name && id !== "default");
  options(speaker, [
    ["", text("enter.systemSpeaker")], ...loud.map(({ id, name }) => /** @type {[string, string]} */ ([id, name])),
  ], chosen.speaker);
  speakerField.hidden = loud.length === 0;
}

/**
 * Lists the cameras in a field, which is hidden if there is nothing to choose.
 * @param {HTMLSelectElement} field
 * @param {HTMLElement} whole
 */
export async function listCameras(field, whole) {
  const { cameras } = navigator.mediaDevices ? await devices() : { cameras: [] };
  const named = cameras.filter(({ name }) => name);
  options(field, [
    ["", text("devices.systemCamera")], ...named.map(({ id, name }) => /** @type {[string, string]} */ ([id, name])),
  ], chosen.camera);
  whole.hidden = named.length === 0;
}

/**
 * @param {HTMLSelectElement} field
 * @param {readonly (readonly [string, string])[]} values
 * @param {string} value One that is not there is the first.
 */
function options(field, values, value) {
  field.replaceChildren(...values.map(([id, name]) => new Option(name, id)));
  field.value = value;
  if (field.selectedIndex < 0) field.selectedIndex = 0;
}

/** The dialog in which devices are changed in the room. */
export class DeviceDialog {
  #dialog = /** @type {HTMLDialogElement} */ (element("devices"));
  #microphone = /** @type {HTMLSelectElement} */ (element("microphone"));
  #speaker = /** @type {HTMLSelectElement} */ (element("speaker"));
  #camera = /** @type {HTMLSelectElement} */ (element("chosen-camera"));
  #stop = new AbortController();

  /**
   * @param {import("../dist/index.js").Room} room
   * @param {import("./controls.js").Voice} voice
   * @param {import("./show.js").Show} pictures
   */
  constructor(room, voice, pictures) {
    const { signal } = this.#stop, problem = element("devices-problem");
    element("devices-open").addEventListener("click", () => void this.#open(), { signal });
    navigator.mediaDevices?.addEventListener("devicechange", () => { if (this.#dialog.open) void this.#list(); }, { signal });
    /** @param {() => Promise<void>} change */
    const tried = async (change) => {
      problem.textContent = "";
      try {
        await change();
        chosen.keep();
      } catch (error) {
        problem.textContent = text("devices.failed", { reason: /** @type {Error} */ (error).message });
      }
      await this.#list();
    };
    this.#microphone.addEventListener("change", () => void tried(async () => {
      const id = this.#microphone.value;
      await voice.use(id);
      chosen.microphone = id;
    }), { signal });
    this.#speaker.addEventListener("change", () => void tried(async () => {
      const id = this.#speaker.value;
      await room.setSpeaker(id);
      chosen.speaker = id;
    }), { signal });
    this.#camera.addEventListener("change", () => void tried(async () => {
      const id = this.#camera.value;
      await pictures.use(id);
      chosen.camera = id;
    }), { signal });
    element("microphone").toggleAttribute("disabled", !room.grants.includes("publishAudio"));
  }

  /** The room is over. */
  close() {
    this.#dialog.close();
    this.#stop.abort();
  }

  async #open() {
    element("devices-problem").textContent = "";
    await this.#list();
    this.#dialog.showModal();
  }

  async #list() {
    const field = element("speaker-field");
    await list(this.#microphone, this.#speaker, field);
    await listCameras(this.#camera, element("chosen-camera-field"));
    element("speaker-hint").hidden = !field.hidden;
  }
}
