/** The picture in a tile: another's by a watch, one's own as it is captured. */
import { make } from "./dom.js";

/**
 * @typedef {import("../dist/index.js").Room} Room
 * @typedef {import("../dist/index.js").StreamName} StreamName
 */

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
   * Another's stream.
   * @param {Room} room
   * @param {StreamName} stream
   * @param {HTMLElement} tile
   * @param {HTMLElement} place
   * @param {(problem: string) => void} failed
   */
  static of(room, stream, tile, place, failed) {
    const watch = room.watch(stream), { canvas } = watch;
    canvas.setAttribute("aria-hidden", "true");
    place.replaceChildren(canvas);
    const picture = new Picture(tile, place, () => watch.stop());
    tile.classList.add("dim");
    const show = () => tile.classList.toggle("dim", watch.isFrozen || watch.width === 0);
    for (const event of /** @type {const} */ (["firstPicture", "frozen", "resumed"])) watch.on(event, show);
    watch.on("failed", ({ error }) => failed(error.message));
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
