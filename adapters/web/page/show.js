/** One's own camera and screen by their buttons. */
import { chosen } from "./devices.js";
import { element, setIcon, setText } from "./dom.js";
import { text } from "./text.js";

/** @typedef {{ code?: string, message?: string } | null} Problem */

/** What this page's participant shows to the room. */
export class Show {
  #camera = element("camera");
  #screen = element("share");
  #stop = new AbortController();
  #isBusy = false;

  /**
   * @param {import("../dist/index.js").Room} room
   * @param {(problem: Problem) => void} told What is wrong with camera or screen, or that nothing is.
   * @param {(what: string) => void} say What has changed, for those who do not see it.
   */
  constructor(room, told, say) {
    this.room = room;
    this.told = told;
    this.say = say;
    const { signal } = this.#stop;
    this.#camera.addEventListener("click", () => void this.press(), { signal });
    this.#screen.addEventListener("click", () => void this.#share(), { signal });
    room.on("cameraChanged", () => this.refresh());
    room.on("screenChanged", ({ screen }) => {
      this.refresh();
      if (room.connection !== "closed") say(text(screen ? "announce.sharing" : "announce.notSharing"));
    });
    room.on("cameraLost", ({ error }) => told(error));
    room.on("screenLost", ({ error }) => told(error));
    room.on("publishRefused", ({ key, error }) => { if (key === "camera" || key === "screen") told({ ...error, code: "pictureRefused" }); });
    this.refresh();
  }

  /** The room is over. */
  close() {
    this.#stop.abort();
  }

  /** Turns the camera on or off. */
  async press() {
    // One press after the other, as a camera takes its time; but it is turned off at once.
    if (this.#isBusy && !this.#isOn) return;
    this.#isBusy = true;
    this.#camera.setAttribute("aria-disabled", "true");
    const camera = this.room.currentCamera;
    try {
      if (camera) await camera.setMuted(!camera.muted);
      else await this.#start();
      this.told(null);
      this.say(text(this.#isOn ? "announce.filmed" : "announce.notFilmed"));
    } catch (error) {
      this.told(/** @type {any} */ (error));
    } finally {
      this.#isBusy = false;
      this.#camera.removeAttribute("aria-disabled");
      this.refresh();
    }
  }

  /**
   * Films with another device, now or as soon as the camera is turned on.
   * @param {string} id As `chosen.camera`.
   */
  async use(id) {
    if (id && this.room.currentCamera) await this.room.currentCamera.setDevice(id);
    else if (this.#isOn) await this.room.camera();
    else await this.room.currentCamera?.stop();
    this.told(null);
  }

  /** Shows what is possible now. */
  refresh() {
    const { grants, currentScreen } = this.room, isOn = this.#isOn;
    this.#camera.hidden = !grants.includes("publishVideo") || !("VideoEncoder" in window) || !navigator.mediaDevices;
    this.#screen.hidden = !grants.includes("publishScreen") || !("VideoEncoder" in window) || !navigator.mediaDevices?.getDisplayMedia;
    const [cameraIcon, screenIcon] = [this.#camera.querySelector("svg"), this.#screen.querySelector("svg")];
    if (cameraIcon) setIcon(cameraIcon, isOn ? "camera" : "camera-off");
    if (screenIcon) setIcon(screenIcon, currentScreen ? "screen-off" : "screen");
    this.#camera.classList.toggle("live", isOn);
    this.#screen.classList.toggle("live", currentScreen !== null);
    setText(element("camera-text"), text(`controls.${isOn ? "cameraOff" : "cameraOn"}`));
    setText(element("share-text"), text(`controls.${currentScreen ? "unshare" : "share"}`));
  }

  get #isOn() {
    return this.room.currentCamera?.muted === false;
  }

  async #start() {
    const { camera: deviceId } = chosen;
    try {
      await this.room.camera(deviceId ? { deviceId } : {});
    } catch (error) {
      // It was chosen at another time, and is not there now.
      if (!deviceId || /** @type {any} */ (error).code !== "cameraMissing") throw error;
      await this.room.camera();
    }
  }

  async #share() {
    try {
      if (this.room.currentScreen) await this.room.currentScreen.stop();
      else await this.room.screen();
      this.told(null);
    } catch (error) {
      // Who chooses none knows it.
      if (/** @type {any} */ (error).code !== "screenDenied") this.told(/** @type {any} */ (error));
    }
  }
}
