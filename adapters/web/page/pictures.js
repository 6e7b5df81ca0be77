/** The picture in a tile: another's by a watch, one's own as it is captured. */
import { make } from "./dom.js";
import { text } from "./text.js";

/**
 * @typedef {import("../dist/index.js").Room} Room
 * @typedef {import("../dist/index.js").StreamName} StreamName
 */

/** What browsers lack, each with words of its own. */
const LACKS = ["notSupported", "codecMismatch"];

/**
 * Why there is no picture.
 * @param {{ code?: string, message?: string }} error
 */
const reason = ({ code, message }) => text("state.noPicture", { reason: code && LACKS.includes(code) ? text(`pictures.${code}`) : message ?? "" });

/** What a tile shows of a stream, from when it is put there until `close`. */
export class Picture {
  #close;

  /**
   * @param {HTMLElement} tile Its classes tell how the picture does: `dim` until there is one, or while none comes.
   * @param {HTMLElement} place
   */
  constructor(tile, place, /** @type {() => void} */ close) {
    this.tile = tile;
    tile.classList.add("pictured");
    this.#close = () => {
      close();
      place.replaceChildren();
    };
  }

  close() {
    this.#close();
    this.tile.classList.remove("pictured", "dim", "mine");
  }

  /**
   * Another's stream; nothing in a browser that cannot show any.
   * @param {Room} room
   * @param {StreamName} stream
   * @param {HTMLElement} tile
   * @param {HTMLElement} place
   * @param {(problem: string) => void} failed
   */
  static of(room, stream, tile, place, failed) {
    let watch;
    try {
      watch = room.watch(stream);
    } catch (error) {
      failed(reason(/** @type {any} */ (error)));
      return null;
    }
    const { canvas } = watch;
    canvas.setAttribute("aria-hidden", "true");
    place.replaceChildren(canvas);
    const picture = new Picture(tile, place, () => watch.stop());
    tile.classList.add("dim");
    const show = () => tile.classList.toggle("dim", watch.isFrozen || watch.width === 0);
    for (const event of /** @type {const} */ (["firstPicture", "frozen", "resumed"])) watch.on(event, show);
    watch.on("failed", ({ error }) => failed(reason(error)));
    return picture;
  }

  /**
   * One's own camera, as in a mirror, or one's own screen.
   * @param {MediaStream} stream
   * @param {HTMLElement} tile
   * @param {HTMLElement} place
   */
  static mine(stream, tile, place) {
    const video = make("video");
    Object.assign(video, { muted: true, playsInline: true, autoplay: true, srcObject: stream });
    video.setAttribute("aria-hidden", "true");
    place.replaceChildren(video);
    const picture = new Picture(tile, place, () => { video.srcObject = null; });
    tile.classList.add("mine");
    return picture;
  }
}
