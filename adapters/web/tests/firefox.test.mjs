// The same in Firefox: a page and a native participant hear each other by either carriage. Firefox has no microphone that is a
// file, and plays nothing without a sound card: PulseAudio is both. Without Firefox it skips, or fails where REQUIRE_FIREFOX is set.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import puppeteer from "puppeteer-core";
import { areHeard, assets, browser, end, folder, joins, open, Server, SIMILAR, talk, website } from "./rig.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
const skip = !existsSync(FIREFOX) && !process.env.REQUIRE_FIREFOX && `there is no ${FIREFOX}`;

/** PulseAudio without a card: what is played to `voice` is what the microphone hears, and `headset` is the loudspeaker. */
async function soundCard() {
  const home = mkdtempSync(join(folder, "pulse-")), socket = join(home, "socket");
  const environment = { ...process.env, HOME: home, XDG_RUNTIME_DIR: home, PULSE_RUNTIME_PATH: home, PULSE_SERVER: `unix:${socket}` };
  writeFileSync(join(home, "pulse.pa"), `
load-module module-null-sink sink_name=voice rate=48000 channels=2
load-module module-null-sink sink_name=headset rate=48000 channels=2
load-module module-remap-source master=voice.monitor source_name=mic
set-default-sink headset
set-default-source mic
load-module module-native-protocol-unix auth-anonymous=1 socket=${socket}
`);
  const options = { env: environment, stdio: "ignore" };
  const flags = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm", "-F", join(home, "pulse.pa")];
  const server = spawn("pulseaudio", flags, options);
  for (let tries = 0; !await promisify(execFile)("pactl", ["info"], { env: environment }).catch(() => undefined); tries++) {
    if (tries > 100) throw new Error("PulseAudio does not answer");
    await sleep(100);
  }
  let says = true, player;
  void (async () => {
    while (says) {
      player = spawn("paplay", ["--device=voice", join(assets, "device.wav")], options);
      await new Promise((resolve) => player.once("close", resolve));
    }
  })();
  return { environment, close: async () => { says = false; player?.kill(); await end(server); } };
}

/** A page of puppeteer as one of playwright, as far as the rig uses it. */
const alike = (page) => ({
  evaluate: (script, argument) => page.evaluate(script, argument),
  addInitScript: (script, argument) => page.evaluateOnNewDocument(script, argument),
  waitForFunction: (script, argument, options = {}) => page.waitForFunction(script, options, argument),
  on: (name, listener) => page.on(name, listener),
  goto: (url) => page.goto(url),
  context: () => page,
});

let server, firefox, site, sound;
before(async () => {
  if (skip) return;
  [server, site, sound] = [await Server.start(), await website(), await soundCard()];
  firefox = await puppeteer.launch({
    browser: "firefox", executablePath: FIREFOX, headless: true, env: sound.environment,
    // The user allows the microphone, and sound without a gesture.
    extraPrefsFirefox: { "media.navigator.permission.disabled": true, "media.autoplay.default": 0 },
  });
});
after(async () => {
  await firefox?.close();
  await sound?.close();
  site?.close();
  await server?.stop();
  server?.network.close();
});

/** A browser of puppeteer as one of playwright. */
const likewise = { newContext: async () => ({ newPage: async () => alike(await firefox.newPage()) }) };

/** Firefox's own camera, without a real one. */
const withCamera = () => {
  const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = (constraints) => ask({ ...constraints, fake: true });
};

test("Firefox and Chromium see each other's cameras", { timeout: 120_000, skip }, async () => {
  const chromium = await browser();
  try {
    const anna = await open(likewise, site.url, undefined, withCamera), ben = await open(chromium, site.url);
    for (const [page, id] of [[anna, "anna"], [ben, "ben"]]) {
      await joins(page, await server.ticket("firefox-camera", id), { server: server.url });
      await page.evaluate(() => room.camera());
    }
    for (const [page, other] of [[anna, "ben"], [ben, "anna"]]) {
      await page.waitForFunction((other) => room.participants.get(other)?.streams.length === 1, other);
      await page.evaluate((other) => {
        window.watch = room.watch({ participant: other, key: "camera" });
        document.body.append(watch.canvas);
        window.colours = new Set();
        const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        setInterval(() => {
          context.drawImage(watch.canvas, 0, 0, 1, 1);
          if (watch.width) colours.add(context.getImageData(0, 0, 1, 1).data.join());
        }, 50);
      }, other);
      // Their pictures change all the time.
      await page.waitForFunction(() => watch.width > 0 && colours.size > 10 && !watch.isFrozen, undefined, { timeout: 20_000 });
    }
    await anna.context().close();
  } finally {
    await chromium.close();
  }
});

for (const transport of ["webSocket", "webTransport"]) {
  test(`in Firefox, by ${transport}`, { timeout: 180_000, skip }, async () => {
    // Where much else runs, Firefox's own audio leaves gaps that the package has no part in: then once more.
    for (let tries = 3; tries > 0; tries--) {
      const heard = await talk({ server, browser: likewise, site }, `firefox-${transport}-${tries}`, { transport });
      assert.equal(heard.carriage, transport);
      if (tries > 1 && Math.min(heard.inPage, heard.atNative) < SIMILAR) continue;
      return areHeard(heard);
    }
  });
}
