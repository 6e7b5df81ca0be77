/** A player of sound, or of a picture with it: what it sounds like at a glance, and every moment of it by a click or a key. */
import { atEnd } from "./live.js";
import { lanes } from "./marks.js";
import { h, svg } from "./ui.js";
import { position, span, text } from "./text.js";

/** What is decoded for a waveform at most: browsers decode a file as a whole, at 192 KB of memory a second and channel. */
const LONGEST_MS = 10 * 60_000, LARGEST = 32e6;
const BARS = 240;
/** How far the keys lead, in seconds. */
const STEPS = /** @type {Record<string, number>} */ ({ ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 30, PageDown: -30, End: Infinity, Home: -Infinity });

/**
 * @param {{ of: string, label: string, duration_ms: number, size: number, picture?: boolean }} file `of`: its path in the API.
 * @returns {HTMLElement}
 */
export function player({ of, label, duration_ms, size, picture = false }) {
  const src = `/v1${of}/content`, options = { controls: true, preload: "metadata", src, "aria-label": label };
  const media = picture ? h("video", { ...options, playsinline: true }) : h("audio", options);
  const seconds = () => Number.isFinite(media.duration) ? media.duration : duration_ms / 1_000;
  const all = svg("svg", { viewBox: `0 0 ${BARS} 2`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const played = /** @type {SVGSVGElement} */ (all.cloneNode()), head = h("i");
  const wave = h("div", { class: "wave", role: "slider", tabindex: "0", "aria-label": text("player.place"), "aria-valuemin": "0" }, all, h("span", { class: "played" }, played), head);
  const show = () => wave.style.setProperty("--played", `${seconds() > 0 ? 100 * Math.min(1, media.currentTime / seconds()) : 0}%`);
  // Not while it plays: a screen reader would talk over it.
  const tell = () => {
    show();
    wave.setAttribute("aria-valuemax", String(Math.round(seconds())));
    wave.setAttribute("aria-valuenow", String(Math.round(media.currentTime)));
    wave.setAttribute("aria-valuetext", text("player.at", { at: span(media.currentTime * 1_000), of: span(seconds() * 1_000) }));
  };
  /** @param {number} to */
  const seek = (to) => {
    media.currentTime = Math.max(0, Math.min(to, seconds()));
    tell();
  };
  /** @param {PointerEvent} event */
  const point = ({ clientX }) => {
    const { left, width } = wave.getBoundingClientRect();
    seek(seconds() * (clientX - left) / width);
  };
  wave.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    wave.setPointerCapture(event.pointerId);
    point(event);
  });
  wave.addEventListener("pointermove", (event) => { if (wave.hasPointerCapture(event.pointerId)) point(event); });
  wave.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    seek(media.currentTime + step);
  });
  media.addEventListener("timeupdate", show);
  media.addEventListener("loadedmetadata", tell);
  wave.addEventListener("focus", tell);
  tell();
  const hint = h("p", { class: "hint", hidden: true });
  const isLarge = duration_ms > LONGEST_MS || size > LARGEST;
  const aborter = new AbortController();
  atEnd(() => aborter.abort());
  // Of a damaged file nobody knows how long it is.
  void (duration_ms > 0 && !isLarge ? peaksOf(src, aborter.signal) : Promise.resolve(null)).then((peaks) => {
    hint.hidden = peaks !== null;
    hint.textContent = isLarge ? text("player.tooLong", { minutes: LONGEST_MS / 60_000, size: LARGEST / 1e6 }) : text("player.noWave");
    wave.classList.toggle("bare", peaks === null);
    if (peaks) for (const place of [all, played]) place.append(svg("path", { d: outline(peaks) }));
  });
  const scale = h("p", { class: "scale" }, ...[0, .5, 1].map((part) => h("span", { text: position(duration_ms * part) })));
  const speech = lanes(of, duration_ms, () => media.currentTime * 1_000, (ms) => seek(ms / 1_000));
  return h("div", { class: "player" }, ...picture ? [media, wave, scale, speech] : [wave, scale, speech, media], hint);
}

/**
 * The highest sample of each bar, whichever channel it is in; `null` if the file cannot be had or decoded.
 * @param {string} src
 * @param {AbortSignal} signal
 * @returns {Promise<number[] | null>}
 */
async function peaksOf(src, signal) {
  const peaks = new Array(BARS).fill(0);
  try {
    const answer = await fetch(src, { signal });
    if (!answer.ok) return null;
    const file = await answer.arrayBuffer();
    if (signal.aborted) return null;
    // A low rate is enough for what is drawn.
    const sound = await new OfflineAudioContext(1, 1, 8_000).decodeAudioData(file);
    for (let channel = 0; channel < sound.numberOfChannels; channel++) {
      sound.getChannelData(channel).forEach((sample, n, { length }) => {
        const bar = Math.floor(BARS * n / length);
        peaks[bar] = Math.max(peaks[bar], Math.abs(sample));
      });
    }
    return peaks;
  } catch {
    return null;
  }
}

/** Bars around the middle, the highest of which take all the room. @param {number[]} peaks */
function outline(peaks) {
  const most = Math.max(.01, ...peaks);
  return peaks.map((peak, n) => {
    const high = Math.max(.02, peak / most);
    return `M${n + .15} ${(1 - high).toFixed(3)}h.7v${(2 * high).toFixed(3)}h-.7z`;
  }).join("");
}
