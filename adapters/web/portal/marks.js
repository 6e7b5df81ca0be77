/** Who speaks when: a lane for each person, with a bar for each time. */
import { get } from "./api.js";
import { h, svg } from "./ui.js";
import { span, text } from "./text.js";

/** @typedef {{ participant: string, speech: { from_ms: number, to_ms: number }[], complete: boolean }} Marks */

/** How long somebody speaks in all. @param {Marks} marks */
export const spoken = ({ speech }) => span(speech.reduce((sum, { from_ms, to_ms }) => sum + to_ms - from_ms, 0));

/**
 * The bars of a lane. The shortest can still be seen.
 * @param {Marks} marks
 * @param {number} whole How long the lane is, in ms.
 */
export const bars = ({ speech }, whole) => svg("svg", { class: "speech", viewBox: `0 0 ${Math.max(1, whole)} 1`, preserveAspectRatio: "none", "aria-hidden": "true" },
  svg("path", { d: speech.map(({ from_ms, to_ms }) => `M${from_ms} 0h${Math.max(to_ms - from_ms, whole / 500)}v1H${from_ms}z`).join("") }));

/** What is to be said below lanes. @param {Marks[]} lanes */
export function note(lanes) {
  const key = lanes.some(({ complete }) => !complete) ? "unknown" : lanes.some(({ speech }) => speech.length > 0) ? "" : "nobody";
  return h("p", { class: "hint", text: key && text(`marks.${key}`), hidden: !key });
}

/**
 * Lanes of a file, as long as its waveform. A click leads to the place; a key to the next time that the person speaks.
 * @param {string} of The path of the recording or composition.
 * @param {number} whole In ms.
 * @param {() => number} now Where it plays, in ms.
 * @param {(ms: number) => void} seek
 */
export function lanes(of, whole, now, seek) {
  const made = h("div", { class: "lanes", role: "group", "aria-label": text("marks.title") });
  get(`${of}/marks`).then(({ data }) => made.append(...data.map((/** @type {Marks} */ marks) => {
    const lane = h("button", { type: "button", class: "track", "aria-label": text("marks.lane", { name: marks.participant, count: marks.speech.length, time: spoken(marks) }) }, bars(marks, whole));
    lane.addEventListener("click", ({ detail, clientX }) => {
      const { left, width } = lane.getBoundingClientRect(), next = marks.speech.find(({ from_ms }) => from_ms > now() + 1) ?? marks.speech[0];
      if (detail) seek(whole * (clientX - left) / width);
      else if (next) seek(next.from_ms);
    });
    return h("div", {}, h("code", { text: marks.participant }), lane);
  }), note(data))).catch((/** @type {Error} */ { message }) => made.append(h("p", { class: "problem", text: message })));
  return made;
}
