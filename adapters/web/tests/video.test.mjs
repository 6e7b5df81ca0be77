// Cameras and screens: published by pages, and seen by others. The camera is a film whose pictures have numbers.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { delayOf, figuresOf, note, noted, numberedFilm, RATE } from "./pictures.mjs";
import { browser, end, failure, joins, longestPause, open, recorded, Server, website } from "./rig.mjs";

/** Shades of the two cameras: of which one a picture is can be told. */
const DARK = 48, BRIGHT = 160;
let server, site, dark, bright;
const others = [], opened = new Set();

before(async () => {
  [server, site, dark, bright] = await Promise.all([
    Server.start(), website(), browser({ camera: numberedFilm(DARK) }), browser({ camera: numberedFilm(BRIGHT) }),
  ]);
});
after(async () => {
  await Promise.all([dark?.close(), bright?.close()]);
  for (const other of [site, ...others]) other?.close();
  await server?.stop();
  server?.network.close();
});

// What a test that fails leaves open would take the time of the others.
afterEach(() => Promise.all([...opened].map((page) => page.context().close().catch(() => undefined))));

const BROKEN = (script) => ({ "/dist/worker.js": (source) => `${script};${source}` });

/** A page in a room. `script` runs in its worker first, and `prepare` in the page. */
async function joined(chromium, room, id, { options = {}, script, prepare, grants = [] } = {}) {
  const at = script ? await website({ altered: BROKEN(script) }) : site;
  if (script) others.push(at);
  const page = await open(chromium, at.url, undefined, prepare);
  opened.add(page);
  await joins(page, await server.ticket(room, id, ...grants), { server: server.url, ...options });
  await page.evaluate(() => {
    window.told = [];
    const tell = (name) => (event) => told.push({ name, ...(event.error ?? {}), is: Boolean(event.camera ?? event.screen) });
    for (const name of ["cameraChanged", "cameraLost", "screenChanged", "screenLost", "streamMuted"]) room.on(name, tell(name));
  });
  return page;
}

/** Turns on the camera, and shows it to its user. */
const films = (page, options = {}) => page.evaluate(async (options) => {
  window.camera = await room.camera(options);
  window.preview = Object.assign(document.createElement("video"), { muted: true, srcObject: camera.stream });
  document.body.append(preview);
  await preview.play();
}, options);

/** Watches a stream, as `window[name]`, once it is published. */
async function watches(page, participant, key = "camera", name = "watch") {
  await page.waitForFunction(([participant, key]) => room.participants.get(participant)?.streams.some((one) => one.key === key), [participant, key]);
  await page.evaluate(([participant, key, name]) => {
    const watch = (window[name] = room.watch({ participant, key })), asked = performance.now();
    watch.told = [];
    for (const event of ["firstPicture", "sizeChanged", "frozen", "resumed", "failed"]) {
      watch.on(event, (told) => watch.told.push({ name: event, after: Math.round(performance.now() - asked), ...told }));
    }
    document.body.append(watch.canvas);
  }, [participant, key, name]);
}

/** What a watch was told, of one kind. */
const tells = (page, kind, name = "watch") => page.waitForFunction(
  ([kind, name]) => window[name].told.find((one) => one.name === kind), [kind, name], { timeout: 15_000 },
).then((handle) => handle.jsonValue());

/** How a camera is seen for some seconds. */
async function seen(publisher, watcher, seconds) {
  await Promise.all([noted(publisher), noted(watcher)]);
  await sleep(seconds * 1_000);
  const [filmed, watched] = await Promise.all([noted(publisher), noted(watcher)]);
  return { ...figuresOf(watched), of: filmed.length, ...delayOf(filmed, watched) };
}

/** The bits of the last second are read where nothing is painted but a shade. */
const shadeOf = (page, name = "watch") => page.evaluate((name) => {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.drawImage(window[name].canvas, 0, 200, 640, 160, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[0];
}, name);

const close = (...pages) => Promise.all(pages.map(async (page) => {
  await page.evaluate(() => room.leave());
  opened.delete(page);
  await page.context().close();
}));

for (const transport of ["webTransport", "webSocket"]) {
  test(`a camera is seen by ${transport}`, { timeout: 60_000 }, async () => {
    const anna = await joined(dark, transport, "anna", { options: { transport } });
    await films(anna);
    // Who comes later begins with a key picture, which is asked for.
    const ben = await joined(dark, transport, "ben", { options: { transport } });
    await watches(ben, "anna");
    const first = await tells(ben, "firstPicture");
    assert.deepEqual([first.width, first.height], [640, 360]);
    await Promise.all([note(anna, "preview"), note(ben, "watch.canvas")]);
    await sleep(500);
    const figures = await seen(anna, ben, 2);
    console.log(`${transport}: first picture after ${first.after} ms,`, figures);
    assert.ok(first.after < 2_000, "the first picture");
    assert.equal(figures.backwards, 0, "pictures come in their order");
    assert.ok(figures.shown >= 0.8 * figures.of && figures.of > RATE, "most are shown");
    assert.ok(figures.median < 250, "soon");
    assert.ok(figures.longest < 700, "without a freeze");
    await close(anna, ben);
  });
}

test("a camera is seen whole when 5 % of the packets are lost each way", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "storm", "anna", { options: { transport: "webTransport" } });
  await films(anna);
  const ben = await joined(dark, "storm", "ben", { options: { transport: "webTransport" } });
  server.network.loss = 0.05;
  try {
    await watches(ben, "anna");
    await tells(ben, "firstPicture");
    await Promise.all([note(anna, "preview"), note(ben, "watch.canvas")]);
    await sleep(500);
    const figures = await seen(anna, ben, 4);
    console.log("5 % lost each way:", figures);
    assert.equal(figures.backwards, 0);
    // Those that come late at once are seen as one.
    assert.ok(figures.shown >= 0.6 * figures.of, "most are shown");
    assert.ok(figures.longest < 1_000, "without a freeze");
  } finally {
    server.network.loss = 0;
  }
  await close(anna, ben);
});

/** How long a way is narrow before that is looked at: by then its ends know it. */
const NARROW_MS = 6_000;
/** Pictures in 5 s. How many come on an idle machine is printed; one that is busy with other things shows fewer. */
const KEEPS_COMING = 5;

test("a narrow way to a watcher carries the sound whole, and the pictures that fit", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "strait", "anna", { options: { transport: "webSocket" } });
  await films(anna);
  const tone = await server.join("strait", "carla", "--tone", "440");
  const ben = await joined(dark, "strait", "ben", { options: { transport: "webTransport" } });
  server.network.down = 500_000;
  try {
    await watches(ben, "anna");
    await tells(ben, "firstPicture");
    await ben.waitForFunction(() => taps.played);
    await sleep(NARROW_MS);
    await Promise.all([note(anna, "preview"), note(ben, "watch.canvas")]);
    // A machine that is busy with other things holds packets up as a narrow way does: then it is looked at again, twice at most.
    for (let n = 0; ; n++) {
      await recorded(ben, "played");
      const figures = await seen(anna, ben, 5), pause = longestPause(await recorded(ben, "played"));
      console.log("500 kb/s to the watcher:", figures, `longest pause of the sound ${pause} ms`);
      assert.equal(figures.backwards, 0);
      assert.ok(figures.shown < 0.9 * figures.of, "not all fit");
      if (figures.shown >= KEEPS_COMING && pause < 500) break;
      assert.ok(n < 2, "pictures keep coming, and the sound is whole");
    }
  } finally {
    server.network.down = Infinity;
    await end(tone);
  }
  await close(anna, ben);
});

/** Has a page know to which bit rates its encoder was set. */
const RATES = `const configure = VideoEncoder.prototype.configure, rates = new BroadcastChannel("rates");
  VideoEncoder.prototype.configure = function (settings) { rates.postMessage(settings.bitrate); configure.call(this, settings); }`;

test("a publisher whose way is narrow encodes less", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "reef", "anna", { options: { transport: "webTransport" }, script: RATES });
  await anna.evaluate(() => {
    window.rates = [];
    new BroadcastChannel("rates").onmessage = ({ data }) => rates.push(data);
  });
  const ben = await joined(dark, "reef", "ben", { options: { transport: "webSocket" } });
  server.network.up = 300_000;
  try {
    await films(anna);
    await watches(ben, "anna");
    await tells(ben, "firstPicture");
    await sleep(NARROW_MS);
    await Promise.all([note(anna, "preview"), note(ben, "watch.canvas")]);
    const figures = await seen(anna, ben, 5), rates = await anna.evaluate(() => rates);
    console.log("300 kb/s from the publisher:", figures, rates);
    assert.ok(rates.at(-1) < 300_000 && rates.at(-1) < rates[0], "it encodes what the way carries");
    assert.equal(figures.backwards, 0);
    assert.ok(figures.shown >= KEEPS_COMING, "pictures keep coming");
  } finally {
    server.network.up = Infinity;
  }
  await close(anna, ben);
});

test("two cameras and a screen among three pages", { timeout: 60_000 }, async () => {
  const [anna, ben, carla] = await Promise.all([
    joined(dark, "hall", "anna"), joined(bright, "hall", "ben"), joined(dark, "hall", "carla", { options: { transport: "webSocket" } }),
  ]);
  await Promise.all([films(anna), films(ben)]);
  await ben.evaluate(async () => {
    document.body.style.background = "rgb(10, 200, 30)";
    window.shared = await room.screen();
  });
  await Promise.all([
    watches(carla, "anna", "camera", "one"), watches(carla, "ben", "camera", "two"), watches(carla, "ben", "screen", "three"),
    watches(anna, "ben", "camera", "one"), watches(anna, "ben", "screen", "two"), watches(ben, "anna", "camera", "one"),
  ]);
  await Promise.all([
    ...["one", "two", "three"].map((name) => tells(carla, "firstPicture", name)), tells(anna, "firstPicture", "one"),
    tells(anna, "firstPicture", "two"), tells(ben, "firstPicture", "one"),
  ]);
  assert.equal(await carla.evaluate(() => room.presenter?.id), "ben");
  for (const [page, name, shade] of [[carla, "one", DARK], [carla, "two", BRIGHT], [anna, "one", BRIGHT], [ben, "one", DARK]]) {
    const found = await shadeOf(page, name);
    assert.ok(found > shade - 8 && found < shade + 40, `${name}: ${found} is of another camera than that of ${shade}`);
  }
  const colour = (name) => carla.waitForFunction((name) => {
    const context = new OffscreenCanvas(1, 1).getContext("2d"), { canvas } = window[name];
    context.drawImage(canvas, canvas.width - 40, canvas.height - 40, 20, 20, 0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    return green > 150 && red < 80 && blue < 80;
  }, name);
  await colour("three");
  // The user ends it by the browser.
  await ben.evaluate(() => { shared.stream.getTracks()[0].dispatchEvent(new Event("ended")); });
  await carla.waitForFunction(() => room.participants.get("ben").streams.every(({ key }) => key !== "screen"));
  assert.deepEqual(await ben.evaluate(() => told.filter(({ name }) => name === "screenChanged").map(({ is }) => is)), [true, false]);
  await close(anna, ben, carla);
});

test("a screen on which nothing changes is seen by who comes later, and is not frozen", { timeout: 60_000 }, async () => {
  const [anna, ben] = await Promise.all([joined(dark, "still", "anna"), joined(dark, "still", "ben")]);
  await anna.evaluate(() => room.screen());
  await sleep(1_500);
  await watches(ben, "anna", "screen");
  const { after } = await tells(ben, "firstPicture");
  console.log(`a still screen is seen after ${after} ms`);
  assert.ok(after < 3_000);
  await sleep(3_500);
  assert.deepEqual(await ben.evaluate(() => watch.told.map(({ name }) => name)), ["firstPicture"]);
  await close(anna, ben);
});

test("a muted camera is off, and comes back; a stopped one is gone", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "mute", "anna"), ben = await joined(dark, "mute", "ben");
  await films(anna);
  await watches(ben, "anna");
  await tells(ben, "firstPicture");
  const track = await anna.evaluateHandle(() => camera.track);
  await anna.evaluate(() => camera.setMuted(true));
  assert.equal(await track.evaluate(({ readyState }) => readyState), "ended", "its light is off");
  assert.deepEqual(await anna.evaluate(() => [camera.muted, camera.stream.getTracks().length]), [true, 0]);
  await ben.waitForFunction(() => room.participants.get("anna").streams[0].muted);
  await sleep(1_500);
  assert.equal(await ben.evaluate(() => watch.isFrozen), false, "what is muted is not frozen");
  await anna.evaluate(() => camera.setMuted(false));
  await note(ben, "watch.canvas");
  await sleep(1_000);
  const back = figuresOf(await noted(ben));
  assert.ok(back.shown > RATE / 3, `after that ${back.shown} pictures came`);
  await anna.evaluate(() => camera.stop());
  await ben.waitForFunction(() => room.participants.get("anna").streams.length === 0);
  assert.deepEqual(await anna.evaluate(() => [room.currentCamera, camera.stream.getTracks().length]), [null, 0]);
  assert.equal((await failure(anna, "camera.setMuted(true)")).code, "closed");
  // Turned on again, it is seen again by who still watches.
  await films(anna);
  await sleep(1_000);
  const again = figuresOf(await noted(ben));
  assert.ok(again.shown > RATE / 3, `after that ${again.shown} pictures came`);
  await close(anna, ben);
});

test("an unplugged camera is told, and no other films instead", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "plug", "anna"), ben = await joined(dark, "plug", "ben");
  await films(anna);
  await watches(ben, "anna");
  await tells(ben, "firstPicture");
  await countTracks(anna);
  await anna.evaluate(() => { camera.track.dispatchEvent(new Event("ended")); });
  await anna.waitForFunction(() => told.some(({ name }) => name === "cameraLost"));
  assert.equal(await anna.evaluate(() => told.find(({ name }) => name === "cameraLost").code), "cameraUnplugged");
  await ben.waitForFunction(() => room.participants.get("anna").streams.length === 0);
  assert.deepEqual(await anna.evaluate(() => [room.currentCamera, window.captured.length]), [null, 0]);
  await close(anna, ben);
});

/** Has the encoder of a page take no pictures while it is told to hold them. */
const HOLDING = `new BroadcastChannel("hold").onmessage = ({ data }) => { self.holds = data; };
  const encode = VideoEncoder.prototype.encode;
  VideoEncoder.prototype.encode = function (...frame) { if (!self.holds) encode.apply(this, frame); }`;
const hold = (page, holds) => page.evaluate((holds) => new BroadcastChannel("hold").postMessage(holds), holds);

test("pictures that stay away are frozen, also after the camera was muted, until they come again", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "ice", "anna", { script: HOLDING }), ben = await joined(dark, "ice", "ben");
  await films(anna);
  await watches(ben, "anna");
  await tells(ben, "firstPicture");
  const isFrozen = (isFrozen) => ben.waitForFunction((isFrozen) => watch.isFrozen === isFrozen, isFrozen, { timeout: 5_000 });
  for (const muted of [false, true]) {
    if (muted) {
      await anna.evaluate(() => camera.setMuted(true));
      await ben.waitForFunction(() => room.participants.get("anna").streams[0].muted);
      await sleep(1_500);
    }
    await hold(anna, true);
    if (muted) await anna.evaluate(() => camera.setMuted(false));
    await isFrozen(true);
    await hold(anna, false);
    await isFrozen(false);
  }
  assert.deepEqual(await ben.evaluate(() => watch.told.map(({ name }) => name)), ["firstPicture", "frozen", "resumed", "frozen", "resumed"]);
  // What is muted is not frozen any more.
  await hold(anna, true);
  await isFrozen(true);
  await anna.evaluate(() => camera.setMuted(true));
  await isFrozen(false);
  await close(anna, ben);
});

test("an encoder and a decoder that fail for good say so once", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "once", "anna", {
    script: `VideoEncoder.prototype.encode = () => { throw new DOMException("broken", "EncodingError"); }`,
  });
  await anna.evaluate(() => { void room.camera(); });
  await anna.waitForFunction(() => told.some(({ name }) => name === "cameraLost"));
  const ben = await joined(dark, "once", "ben"), carla = await joined(dark, "once", "carla", { script: "delete self.VideoDecoder" });
  await films(ben);
  await watches(carla, "ben");
  await tells(carla, "failed");
  // Each who comes has a key picture made.
  const dora = await joined(dark, "once", "dora");
  await watches(dora, "ben");
  await tells(dora, "firstPicture");
  await sleep(500);
  assert.deepEqual(await carla.evaluate(() => watch.told.map(({ name }) => name)), ["failed"]);
  assert.deepEqual(await anna.evaluate(() => told.filter(({ name }) => name === "cameraLost").map(({ code }) => code)), ["encoderFailed"]);
  await close(anna, ben, carla, dora);
});

test("a browser that cannot take the pictures of a track publishes nothing", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "none", "anna", {
    script: "delete self.MediaStreamTrackProcessor",
    prepare: () => {
      delete window.MediaStreamTrackProcessor;
      delete HTMLVideoElement.prototype.requestVideoFrameCallback;
    },
  });
  await anna.evaluate(() => {
    window.seenStreams = 0;
    room.on("streamPublished", () => { seenStreams++; });
    room.on("published", () => { seenStreams++; });
  });
  await countTracks(anna);
  assert.equal((await failure(anna, "room.camera()")).code, "encoderMissing");
  assert.equal((await failure(anna, "room.screen()")).code, "encoderMissing");
  assert.deepEqual(await trackStates(anna), ["ended"]);
  assert.equal(await anna.evaluate(() => seenStreams), 0);
  await close(anna);
});

test("a screen that is watched before it is there has the memory of one", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "early", "anna"), ben = await joined(dark, "early", "ben", {
    script: `addEventListener("message", ({ data }) => { if (data.type === "watchKind") new BroadcastChannel("kinds").postMessage(data.kind); })`,
  });
  await ben.evaluate(() => {
    window.kinds = [];
    new BroadcastChannel("kinds").onmessage = ({ data }) => kinds.push(data);
    window.watch = Object.assign(room.watch({ participant: "anna", key: "screen" }), { told: [] });
    watch.on("firstPicture", (told) => watch.told.push({ name: "firstPicture", ...told }));
    document.body.append(watch.canvas);
  });
  await anna.evaluate(() => room.screen());
  await tells(ben, "firstPicture");
  assert.deepEqual(await ben.evaluate(() => kinds), ["screen"]);
  await close(anna, ben);
});

test("what nobody can see does not come", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "scroll", "anna"), ben = await joined(dark, "scroll", "ben");
  await films(anna);
  await watches(ben, "anna");
  await tells(ben, "firstPicture");
  const bytes = async () => {
    const before = (await ben.evaluate(() => room.statistics())).bytesReceived;
    await sleep(1_000);
    return (await ben.evaluate(() => room.statistics())).bytesReceived - before;
  };
  const open = await bytes();
  await ben.evaluate(() => { watch.canvas.style.display = "none"; });
  await sleep(1_500);
  const hidden = await bytes();
  console.log(`bytes in a second: ${open} while it is seen, ${hidden} while not`);
  assert.ok(open > 20_000 && hidden < 2_000);
  await ben.evaluate(() => { watch.canvas.style.display = ""; });
  await note(ben, "watch.canvas");
  await sleep(1_500);
  assert.ok((await noted(ben)).length > RATE / 2, "it comes again");
  await ben.evaluate(() => watch.stop());
  await sleep(500);
  assert.ok(await bytes() < 2_000);
  assert.equal(await ben.evaluate(() => document.querySelectorAll("canvas").length), 0);
  await close(anna, ben);
});

test("without H.264 it is VP8, and without a processor of tracks a video plays it", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "vp8", "anna", {
    script: `const able = VideoEncoder.isConfigSupported;
      VideoEncoder.isConfigSupported = (asked) => asked.codec === "vp8" ? able.call(VideoEncoder, asked) : Promise.resolve({ supported: false });
      delete self.MediaStreamTrackProcessor`,
    prepare: () => { delete window.MediaStreamTrackProcessor; },
  });
  await films(anna);
  const ben = await joined(dark, "vp8", "ben");
  await watches(ben, "anna");
  await tells(ben, "firstPicture");
  assert.equal(await ben.evaluate(() => room.participants.get("anna").streams[0].codec), "vp8");
  await Promise.all([note(anna, "preview"), note(ben, "watch.canvas")]);
  await sleep(500);
  const figures = await seen(anna, ben, 2);
  console.log("VP8, by a video:", figures);
  assert.equal(figures.backwards, 0);
  assert.ok(figures.shown >= 0.6 * figures.of);
  await close(anna, ben);
});

test("a decoder that fails begins anew, and one that lacks the codec says so", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "decode", "anna");
  await films(anna);
  const ben = await joined(dark, "decode", "ben", {
    script: `let decoded = 0;
      const decode = VideoDecoder.prototype.decode;
      VideoDecoder.prototype.decode = function (chunk) {
        if (++decoded === 20) throw new DOMException("broken", "EncodingError");
        return decode.call(this, chunk);
      }`,
  });
  const carla = await joined(dark, "decode", "carla", { script: "delete self.VideoDecoder" });
  await Promise.all([watches(ben, "anna"), watches(carla, "anna")]);
  await tells(ben, "firstPicture");
  const { error } = await tells(carla, "failed");
  assert.deepEqual([error.code, /H\.?264/i.test(error.message)], ["codecMismatch", true]);
  await sleep(2_000);
  await note(ben, "watch.canvas");
  await sleep(1_000);
  assert.ok((await noted(ben)).length > RATE / 3, "pictures come again");
  await close(anna, ben, carla);
});

/** Keeps the tracks that are captured in a page from now on. */
const countTracks = (page) => page.evaluate(() => {
  window.captured = [];
  const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.captured.push(...stream.getTracks());
    return stream;
  };
});
const trackStates = (page) => page.evaluate(() => window.captured.map(({ readyState }) => readyState));

test("a camera is off at once when it is muted, stopped or left with, also while it is being turned on", { timeout: 60_000 }, async () => {
  const anna = await joined(dark, "off", "anna");
  await countTracks(anna);
  // Muted while it is being unmuted, and while another device is being opened.
  await anna.evaluate(async () => {
    const camera = await room.camera();
    const { deviceId } = camera;
    const other = camera.setDevice(deviceId);
    await camera.setMuted(true);
    await other;
    const on = camera.setMuted(false);
    await camera.setMuted(true);
    await on;
    if (!camera.muted || camera.track) throw new Error("it films");
  });
  assert.deepEqual([...new Set(await trackStates(anna))], ["ended"]);
  await anna.evaluate(() => room.currentCamera.setMuted(false));
  assert.equal((await trackStates(anna)).at(-1), "live");
  const left = await anna.evaluate(() => {
    void room.leave();
    return window.captured.map(({ readyState }) => readyState);
  });
  assert.ok(left.every((state) => state === "ended"), `${left}`);
  // Who has left is not filmed, nor who is leaving.
  const { code } = await failure(anna, "room.camera()");
  assert.ok(["closed", "left"].includes(code), code);
  assert.deepEqual([...new Set(await trackStates(anna))], ["ended"]);
  await close(anna);
});

test("refusals say what to do", { timeout: 60_000 }, async () => {
  const refusing = await browser({ refuses: true });
  try {
    const anna = await joined(refusing, "words", "anna");
    assert.equal((await failure(anna, "room.camera()")).code, "cameraDenied");
    const ben = await joined(dark, "words", "ben", { script: "delete self.VideoEncoder" });
    const missing = await failure(ben, "room.camera()");
    assert.deepEqual([missing.code, missing.isTyped], ["encoderMissing", true]);
    assert.equal(await ben.evaluate(() => room.currentCamera), null);
    assert.equal((await failure(ben, `room.camera({ deviceId: "none" })`)).code, "cameraMissing");
    const carla = await joined(dark, "words", "carla", { grants: ["--grants", "subscribe"] });
    await countTracks(carla);
    assert.equal((await failure(carla, "room.camera()")).code, "notPermitted");
    assert.deepEqual(await trackStates(carla), ["ended"], "a camera that is refused is off");
    assert.equal((await failure(carla, "room.screen()")).code, "notPermitted");
    await close(anna, ben, carla);
  } finally {
    await refusing.close();
  }
});
