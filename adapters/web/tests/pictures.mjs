// What the tests of pictures run with: a camera whose pictures are numbered, and how the numbers are read where they are shown.
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { folder } from "./rig.mjs";

export const WIDTH = 640, HEIGHT = 360, RATE = 30;
/** So many pictures, then they begin anew. */
export const COUNT = 240;
/** A number is painted as bright and dark squares, one for each bit, the highest first. */
const BITS = 8, SIDE = 64;

/** A film whose pictures have their numbers painted in, for Chromium to play as its camera. `shade` tells cameras apart. */
export function numberedFilm(shade = 96) {
  const path = join(folder, `camera-${shade}.y4m`), file = openSync(path, "w");
  writeSync(file, `YUV4MPEG2 W${WIDTH} H${HEIGHT} F${RATE}:1 Ip A1:1 C420jpeg\n`);
  const luma = Buffer.alloc(WIDTH * HEIGHT), chroma = Buffer.alloc(WIDTH * HEIGHT / 2, 128);
  for (let n = 0; n < COUNT; n++) {
    // Something that moves, so that pictures differ as those of a camera do.
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) luma[y * WIDTH + x] = y < SIDE ? 128 : shade + ((x * 3 + y * 2 + n * 5) % 251 >> 3);
    }
    for (let bit = 0; bit < BITS; bit++) {
      const value = n >> (BITS - 1 - bit) & 1 ? 235 : 16;
      for (let y = 0; y < SIDE; y++) luma.fill(value, y * WIDTH + bit * SIDE, y * WIDTH + (bit + 1) * SIDE);
    }
    writeSync(file, "FRAME\n");
    writeSync(file, luma);
    writeSync(file, chroma);
  }
  closeSync(file);
  return path;
}

/**
 * Has a page note, at each of its frames, the number in a video or canvas if it is another one than before, with the time: `notes`
 * has the list. In pages with `watch` or `camera` of the tests.
 */
export function note(page, expression, name = "notes") {
  return page.evaluate(([expression, name, BITS]) => {
    const source = new Function(`return ${expression}`)();
    const notes = (window[name] = []);
    const canvas = new OffscreenCanvas(BITS * 8, 8), context = canvas.getContext("2d", { willReadFrequently: true });
    const look = () => {
      const width = source.videoWidth ?? source.width;
      if (width >= 64) {
        // The row of squares, a tenth of the width each.
        context.drawImage(source, 0, 0, width * 8 / 10, width / 10, 0, 0, BITS * 8, 8);
        const { data } = context.getImageData(0, 0, BITS * 8, 8);
        let number = 0;
        for (let bit = 0; bit < BITS; bit++) number = number * 2 + Number(data[(4 * BITS * 8 + bit * 8 + 4) * 4] > 127);
        if (notes.at(-1)?.number !== number) notes.push({ number, at: performance.timeOrigin + performance.now() });
      }
      requestAnimationFrame(look);
    };
    look();
  }, [expression, name, BITS]);
}

/** What was noted since the last call. */
export const noted = (page, name = "notes") => page.evaluate((name) => window[name].splice(0), name);

/** Fails unless numbers only rise, but for the beginning anew. How many were seen, which were left out, and the longest pause. */
export function figuresOf(notes) {
  let missing = 0, longest = 0, backwards = 0;
  for (let n = 1; n < notes.length; n++) {
    const step = (notes[n].number - notes[n - 1].number + COUNT) % COUNT;
    if (step > COUNT / 2) backwards++;
    else missing += step - 1;
    longest = Math.max(longest, notes[n].at - notes[n - 1].at);
  }
  return { shown: notes.length, missing, backwards, longest: Math.round(longest) };
}

/** From where a picture is filmed to where it is watched: the median and the highest tenth, in ms. */
export function delayOf(filmed, watched) {
  const delays = watched.flatMap(({ number, at }) => {
    const earlier = filmed.findLast((one) => one.number === number && one.at <= at);
    return earlier && at - earlier.at < 4_000 ? [at - earlier.at] : [];
  }).sort((one, other) => one - other);
  const of = (share) => Math.round(delays[Math.floor(delays.length * share)] ?? Infinity);
  return { median: of(0.5), tenth: of(0.9) };
}
