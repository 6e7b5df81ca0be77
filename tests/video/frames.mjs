// Has Chromium encode the pictures that the tests of this package packetize: `node tests/video/frames.mjs`, after `npm ci` in
// adapters/web. A file is a sequence of pictures: u32 length (little-endian), u8 key, u8 temporal layer, bytes.
import { statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const here = import.meta.dirname;
const { chromium } = createRequire(resolve(here, "../../adapters/web/package.json"))("playwright-core");
const PICTURES = 48, KEY_AT = 24;

/** Runs in the page: a scene that moves, through the browser's encoder. */
async function encode({ codec, mode, pictures, keyAt }) {
  const canvas = new OffscreenCanvas(320, 180), scene = canvas.getContext("2d");
  const draw = (n) => {
    const sky = scene.createLinearGradient(0, 0, 320, 180);
    sky.addColorStop(0, `hsl(${n * 4} 60% 60%)`);
    sky.addColorStop(1, "#223");
    scene.fillStyle = sky;
    scene.fillRect(0, 0, 320, 180);
    for (let k = 0; k < 40; k++) {
      scene.fillStyle = `hsl(${k * 37} 70% 50%)`;
      scene.fillRect((k * 53 + n * (1 + k % 5)) % 320, (k * 29 + n * (k % 3)) % 180, 6 + k % 20, 4 + k % 11);
    }
    scene.fillStyle = "#fff";
    scene.font = "24px monospace";
    scene.fillText(`picture ${n}`, 20, 160);
  };
  const encoded = [];
  if (codec === "jpeg") {
    for (let n = 0; n < 4; n++) {
      draw(n);
      const file = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.5 });
      encoded.push({ key: true, layer: 0, bytes: [...new Uint8Array(await file.arrayBuffer())] });
    }
    return encoded;
  }
  let failed;
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => {
      const bytes = new Uint8Array(chunk.byteLength);
      chunk.copyTo(bytes);
      encoded.push({ key: chunk.type === "key", layer: metadata.svc?.temporalLayerId ?? 0, bytes: [...bytes] });
    },
    error: (error) => { failed = error; },
  });
  encoder.configure({
    codec, width: 320, height: 180, bitrate: 160_000, framerate: 30, latencyMode: "realtime", bitrateMode: "variable",
    scalabilityMode: mode, ...(codec.startsWith("avc") && { avc: { format: "annexb" } }),
  });
  for (let n = 0; n < pictures; n++) {
    draw(n);
    const frame = new VideoFrame(canvas, { timestamp: Math.round(n * 1e6 / 30) });
    encoder.encode(frame, { keyFrame: n === 0 || n === keyAt });
    frame.close();
    await encoder.flush();
  }
  if (failed) throw failed;
  return encoded;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, chromiumSandbox: false,
});
const page = await browser.newPage();
// WebCodecs want a secure context, which an address of this machine is.
await page.route("**/*", (route) => route.fulfill({ contentType: "text/html", body: "" }));
await page.goto("http://localhost/");
for (const [name, codec, mode] of [
  ["vp8-l1t1", "vp8", "L1T1"], ["vp8-l1t3", "vp8", "L1T3"],
  ["h264-l1t1", "avc1.42e01f", "L1T1"], ["h264-l1t3", "avc1.42e01f", "L1T3"], ["jpeg", "jpeg"],
]) {
  const encoded = await page.evaluate(encode, { codec, mode, pictures: PICTURES, keyAt: KEY_AT });
  const parts = encoded.flatMap(({ key, layer, bytes }) => {
    const head = Buffer.alloc(6);
    head.writeUInt32LE(bytes.length);
    head[4] = Number(key);
    head[5] = layer;
    return [head, Buffer.from(bytes)];
  });
  const path = join(here, "frames", `${name}.bin`);
  writeFileSync(path, Buffer.concat(parts));
  const keys = encoded.flatMap(({ key, bytes }) => key ? [bytes.length] : []);
  console.log(`${name}: ${encoded.length} pictures, ${statSync(path).size} bytes, key pictures ${keys}`);
}
await browser.close();
