// What the tests of the package run with: a server, a native participant, a network, pages in Chromium, and a measure of sound.
import assert from "node:assert/strict";
import { spawn, execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const here = import.meta.dirname;
const root = resolve(here, "../../..");
export const assets = join(root, "examples/assets");
export const host = samplesOf(readFileSync(join(assets, "host.wav")));
const parlour = process.env.PARLOUR ?? join(root, "target/debug/parlour");
const dist = resolve(process.env.DIST ?? join(here, "../dist"));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export const folder = mkdtempSync(join(tmpdir(), "parlour-web-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** A port that is free for TCP and UDP, below those that the system gives to others in the meantime. */
async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const tcp = createTcp().listen(port, "127.0.0.1"), udp = createSocket("udp4").bind(port, "127.0.0.1");
    try {
      await Promise.all([once(tcp, "listening"), once(udp, "listening")]);
      return port;
    } catch { /* In use: another one. */ } finally {
      tcp.close();
      udp.close();
    }
  }
}

/** What waits longer than this at a narrow place is lost, in ms. */
const QUEUE_MS = 300;

/**
 * A relay of UDP that loses a share of the packets in each direction, delays them by so many ms, and carries no more than so many
 * bits per second to the server (`up`) and from it (`down`).
 */
async function relay(target) {
  const outside = createSocket("udp4"), insides = new Map();
  const network = { loss: 0, delay: 0, up: Infinity, down: Infinity, passed: 0, lost: 0 };
  /** When the last packet of each direction has left the narrow place. */
  const left = { up: 0, down: 0 };
  const send = (socket, packet, port, way) => {
    const now = performance.now(), begins = Math.max(now, left[way]), lost = Math.random() < network.loss || begins - now > QUEUE_MS;
    network[lost ? "lost" : "passed"]++;
    if (lost) return;
    left[way] = begins + packet.length * 8_000 / network[way];
    const sending = () => { try { socket.send(packet, port, "127.0.0.1"); } catch { /* It is closed. */ } };
    const wait = left[way] - now + network.delay;
    if (wait > 0) setTimeout(sending, wait);
    else sending();
  };
  outside.on("message", (packet, { port }) => {
    let inside = insides.get(port);
    if (!inside) {
      inside = createSocket("udp4");
      inside.on("message", (answer) => send(outside, answer, port, "down"));
      inside.on("error", () => undefined);
      insides.set(port, inside);
    }
    send(inside, packet, target, "up");
  });
  outside.bind(0, "127.0.0.1");
  await once(outside, "listening");
  network.port = outside.address().port;
  network.close = () => [outside, ...insides.values()].forEach((socket) => socket.close());
  return network;
}

/**
 * A relay of TCP that delays what passes by `network.delay` ms each way, and the first bytes by the connection's own round trip. It
 * has no window that grows: what is sent at once arrives at once.
 */
export async function slowly(target, network) {
  const server = createTcp((inside) => {
    const outside = connect(target, "127.0.0.1"), opened = Date.now() + 2 * network.delay;
    inside.setNoDelay(true);
    outside.setNoDelay(true);
    const pass = (from, to, earliest) => {
      from.on("data", (bytes) => {
        setTimeout(() => to.writable && to.write(bytes), Math.max(0, earliest - Date.now()) + network.delay);
      });
      from.on("error", () => undefined);
      from.on("close", () => setTimeout(() => to.destroy(), 4 * network.delay));
    };
    pass(inside, outside, opened);
    pass(outside, inside, 0);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A room server in a folder of its own, with WebTransport behind a relay. `workers` are as many as the rooms' threads. */
export class Server {
  static async start({ workers = 1, environment = {} } = {}) {
    const server = new Server();
    server.folder = mkdtempSync(join(folder, "server-"));
    const [http, rooms, metrics] = [await freePort(), await freePort(), await freePort()];
    server.network = await relay(http);
    server.url = `http://127.0.0.1:${http}`;
    server.environment = {
      ...process.env,
      PARLOUR__HTTP__LISTEN: `127.0.0.1:${http}`,
      PARLOUR__METRICS__LISTEN: `127.0.0.1:${metrics}`,
      PARLOUR__MEDIA__LISTEN: `127.0.0.1:${rooms}`,
      PARLOUR__MEDIA__WORKERS: String(workers),
      // Nothing is to wait for the sessions that a test leaves behind.
      PARLOUR__DRAIN__TIMEOUT_S: "0",
      PARLOUR__WEB__ORIGINS: `["http://localhost:*", "http://127.0.0.1:${http}"]`,
      PARLOUR__WEB__WEBTRANSPORT__URL: `https://127.0.0.1:${server.network.port}`,
      ...environment,
    };
    await server.run();
    return server;
  }

  async run() {
    this.process = spawn(parlour, ["serve", "--dev"], { cwd: this.folder, env: this.environment, stdio: ["ignore", "pipe", "pipe"] });
    this.told = "";
    await new Promise((serves, fails) => {
      const read = (text) => { if ((this.told += text).includes("serving")) serves(); };
      this.process.stdout.on("data", read);
      this.process.stderr.on("data", read);
      this.process.once("exit", () => fails(new Error(`the server ended: ${this.told}`)));
    });
  }

  async stop(signal = "SIGTERM") {
    const ended = once(this.process, "exit");
    this.process.kill(signal);
    await ended;
  }

  /** What a command says. */
  async command(...words) {
    const { stdout } = await promisify(execFile)(parlour, words, { cwd: this.folder });
    return stdout.trim();
  }

  ticket(room, id, ...options) {
    return this.command("token", "create", room, id, "--ticket", ...options);
  }

  /** Starts a participant of the command line. */
  async join(room, id, ...options) {
    return this.joinBy(await this.ticket(room, id), ...options);
  }

  /** The same, with a ticket. */
  joinBy(ticket, ...options) {
    return spawn(parlour, ["join", ticket, ...options], { cwd: this.folder, stdio: "ignore" });
  }

  /** The API key that the server printed. */
  key() {
    return /key +(\S+)/.exec(this.told)[1];
  }

  /** Sets an admin's password. */
  async setPassword(name, password) {
    const child = spawn(parlour, ["admin", "password", name], { cwd: this.folder, stdio: ["pipe", "ignore", "inherit"] });
    child.stdin.end(password);
    const [code] = await once(child, "exit");
    assert.equal(code, 0);
  }

  /** A participant of the command line that says a file over and over; `heard()` ends it and gives what it has heard. */
  async native(room, id) {
    const record = join(this.folder, `${room}-${id}.wav`);
    const child = await this.join(room, id, "--play", join(assets, "host.wav"), "--loop", "--record", record);
    return {
      async heard() {
        await end(child, "SIGINT");
        return samplesOf(readFileSync(record));
      },
    };
  }
}

/** Ends a process. */
export async function end(child, signal = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

/**
 * nginx before a server: at `url`/rooms it passes all on, and at `url` no upgrades, as one that was not set up for WebSockets.
 */
export async function nginx(server) {
  const place = mkdtempSync(join(folder, "nginx-")), port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${place};`).join(" ");
  const user = process.getuid() === 0 ? "user root;" : "";
  writeFileSync(join(place, "nginx.conf"), `
    daemon off; ${user} pid ${place}/pid; worker_processes 1; error_log ${place}/error.log;
    events {}
    http {
      access_log off; ${temporary}
      map $http_upgrade $connection_upgrade { default upgrade; "" close; }
      server {
        listen 127.0.0.1:${port};
        proxy_http_version 1.1;
        location / { proxy_pass ${server.url}; }
        location /rooms/ {
          proxy_pass ${server.url}/;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection $connection_upgrade;
          proxy_set_header Host $http_host;
        }
      }
    }`);
  const child = spawn(process.env.NGINX ?? "/usr/sbin/nginx", ["-c", join(place, "nginx.conf"), "-p", place], { stdio: "inherit" });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !await fetch(url).catch(() => undefined); tries++) {
    if (tries > 100 || child.exitCode !== null) throw new Error("nginx does not answer");
    await sleep(100);
  }
  return { url, close: () => end(child) };
}

/** A TCP port of this machine's address `host` that leads to a server of 127.0.0.1 with the same port. */
export async function alias(host, port) {
  const seen = { connections: 0 };
  const server = createTcp((inside) => {
    seen.connections++;
    const outside = connect(port, "127.0.0.1");
    inside.pipe(outside).pipe(inside);
    for (const [one, other] of [[inside, outside], [outside, inside]]) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
  }).listen(port, host);
  await once(server, "listening");
  return Object.assign(seen, { close: () => server.close() });
}

/** The samples of a WAV file of 16 bits, mono. */
export function samplesOf(wav) {
  const data = wav.indexOf("data") + 8;
  const bytes = wav.subarray(data, data + ((wav.length - data) & ~1));
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** device.wav at 48 kHz, which Chromium plays as its microphone. */
function microphone() {
  const slow = samplesOf(readFileSync(join(assets, "device.wav"))), factor = 3;
  const wav = Buffer.alloc(44 + slow.length * factor * 2);
  const fields = [["RIFF", 0], ["WAVEfmt ", 8], ["data", 36]];
  for (const [text, at] of fields) wav.write(text, at);
  wav.writeUInt32LE(wav.length - 8, 4);
  [[16, 16, 4], [1, 20, 2], [1, 22, 2], [48_000, 24, 4], [96_000, 28, 4], [2, 32, 2], [16, 34, 2], [wav.length - 44, 40, 4]]
    .forEach(([value, at, bytes]) => wav.writeUIntLE(value, at, bytes));
  for (let n = 0; n < slow.length * factor; n++) {
    const at = Math.floor(n / factor), part = (n % factor) / factor;
    wav.writeInt16LE(Math.round(slow[at] * (1 - part) + (slow[at + 1] ?? 0) * part), 44 + 2 * n);
  }
  const path = join(folder, "microphone.wav");
  writeFileSync(path, wav);
  return path;
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** The page that uses the hooks for React, beside the package so that both have the same one. */
async function reactPage() {
  const { outputFiles: [script] } = await build({
    entryPoints: [join(here, "app.jsx")], bundle: true, write: false, format: "esm", jsx: "automatic",
    alias: { "@parlour/web/react": join(dist, "react.js") }, external: ["./index.js"],
  });
  return script.contents;
}

/**
 * Serves the page and the package on localhost, which browsers trust as they do https; or on `host`, which they do if it is an
 * address of this machine. `altered` has functions that alter files, by their paths.
 */
export async function website({ host = "localhost", altered = {} } = {}) {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const path = pathname.startsWith("/dist/") ? join(dist, pathname.slice(6)) : join(here, pathname);
    try {
      const body = pathname === "/dist/app.js" ? await reactPage() : await readFile(path);
      const alter = altered[pathname];
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
      response.end(alter ? alter(body.toString()) : body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, host);
  await once(server, "listening");
  return { url: `http://${host}:${server.address().port}/page.html`, close: () => server.close() };
}

const ARGUMENTS = ["--use-fake-device-for-media-stream=display-media-type=browser", "--autoplay-policy=no-user-gesture-required"];

/**
 * A Chromium whose microphone is a file, and which the user allows it unless `refuses`; so is its camera if `camera` is one. The
 * screen that is shared is the page itself.
 */
export function browser({ refuses = false, gesture = false, camera } = {}) {
  const args = gesture ? ARGUMENTS.slice(0, 1) : [...ARGUMENTS];
  if (camera) args.push(`--use-file-for-fake-video-capture=${camera}`);
  args.push(`--use-file-for-fake-audio-capture=${microphone()}`);
  if (!refuses) args.push("--use-fake-ui-for-media-stream");
  return chromium.launch({ executablePath: CHROMIUM, args, ignoreDefaultArgs: ["--mute-audio"], chromiumSandbox: false });
}

/** Has a page keep what its microphone gives and what it plays. */
async function tap(page) {
  await page.addInitScript((recorder) => {
    const taps = (window.taps = {}), module = URL.createObjectURL(new Blob([recorder], { type: "text/javascript" }));
    const connect = AudioNode.prototype.connect;
    AudioNode.prototype.connect = function (to, ...rest) {
      const name = to instanceof AudioDestinationNode ? "played" : this instanceof MediaStreamAudioSourceNode ? "said" : undefined;
      if (name) {
        taps.context = this.context;
        void this.context.audioWorklet.addModule(module).then(() => {
          const options = { channelCount: 1, channelCountMode: "explicit" };
          taps[name] = new AudioWorkletNode(this.context, "recorder", options);
          connect.call(this, taps[name]);
        });
      }
      return connect.call(this, to, ...rest);
    };
  }, readFileSync(join(here, "recorder.js"), "utf8"));
}

/** Chromium says this of a picture that it had itself on its way when a track's stream was given to a worker. */
const OWN_FRAME = "A VideoFrame was garbage collected without being closed";

/**
 * The room page, with what it complains about in `complaints`. To keep its sound it has to be without its Content-Security-Policy,
 * which lets no foreign script in.
 */
export async function visit(browser, url, { records = false, ...options } = {}) {
  const page = await (await browser.newContext({ locale: "en-GB", bypassCSP: records, ...options })).newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !message.text().startsWith(OWN_FRAME)) page.complaints.push(message.text());
  });
  if (records) await tap(page);
  if (process.env.PORTAL) await fromDisk(page);
  await page.goto(url);
  return page;
}

/** The portal as it is in the folder `PORTAL`, so that a change of it needs no build of the server. */
const fromDisk = (page) => page.route(/\/portal\/[a-z.]*$/, async (route) => {
  const response = await route.fetch();
  const name = new URL(route.request().url()).pathname.slice(8) || "index.html";
  const body = await readFile(join(process.env.PORTAL, name));
  return route.fulfill({ response, status: 200, body, headers: { ...response.headers(), "content-type": { ...TYPES, ".css": "text/css" }[extname(name)], "content-encoding": "identity" } });
});

/**
 * A page with the package, which joins by itself if `unasked` says how, and keeps what its microphone gives and what it plays.
 * `prepare` runs in it before all else.
 */
export async function open(browser, url, unasked, prepare) {
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => console.error("the page:", error));
  await tap(page);
  if (prepare) await page.addInitScript(prepare);
  await page.addInitScript(() => {
    window.happened = [];
  });
  if (unasked) await page.addInitScript((unasked) => { window.unasked = unasked; }, unasked);
  await page.goto(url);
  await page.waitForFunction(() => window.parlour);
  return page;
}

/** Joins, in the page. */
export function joins(page, ticket, options) {
  return page.evaluate(async ([ticket, options]) => {
    window.room = await parlour.Room.join(ticket, options);
    const names = ["joined", "reconnecting", "closed", "participantJoined", "participantLeft", "message", "streamMuted", "censored",
      "attributeChanged", "knocked", "speakingStarted", "gestureNeeded", "grantsChanged", "audioFailed", "carriageChanged"];
    for (const name of names) room.on(name, (event) => happened.push({ type: name, ...event, body: undefined }));
  }, [ticket, options]);
}

/** What a tap has recorded since it was asked last. */
export async function recorded(page, name) {
  const base64 = await page.evaluate(async (name) => {
    const { port } = window.taps[name];
    const pieces = await new Promise((resolve) => {
      port.onmessage = ({ data }) => resolve(data);
      port.postMessage("take");
    });
    const bytes = new Uint8Array(Int16Array.from(pieces.flatMap((piece) => [...piece]), (sample) => sample * 32_767).buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
    return btoa(text);
  }, name);
  const bytes = Buffer.from(base64, "base64");
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Loudness every 4 ms, over 8 ms. */
function envelope(pcm) {
  const step = 192, powers = new Float64Array(Math.floor(pcm.length / step));
  for (let n = 0; n < powers.length; n++) {
    for (let at = n * step; at < (n + 1) * step; at++) powers[n] += pcm[at] ** 2;
  }
  return powers.map((power, n) => Math.sqrt((power + (powers[n + 1] ?? 0)) / (2 * step)));
}

/** The longest pause of a sound, in ms: so long its loudness is below a tenth of the usual. */
export function longestPause(pcm) {
  const loudness = envelope(pcm), usual = Float64Array.from(loudness).sort()[loudness.length >> 1];
  let longest = 0, pause = 0;
  for (const now of loudness) {
    pause = now < usual / 10 ? pause + 4 : 0;
    longest = Math.max(longest, pause);
  }
  return longest;
}

/** The correlation of two pieces of the same length. */
function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(a), mean(b)];
  let product = 0, xx = 0, yy = 0;
  for (let n = 0; n < a.length; n++) {
    product += (a[n] - x) * (b[n] - y);
    xx += (a[n] - x) ** 2;
    yy += (b[n] - y) ** 2;
  }
  return product / Math.sqrt(xx * yy) || 0;
}

/** The best of the lags from `from` to `to`: where `part` begins in `whole`. */
function best(whole, part, from, to) {
  let found = { correlation: -1, lag: from };
  for (let lag = Math.max(0, from); lag <= Math.min(to, whole.length - part.length); lag++) {
    const here = correlation(whole.subarray(lag, lag + part.length), part);
    if (here > found.correlation) found = { correlation: here, lag };
  }
  return found;
}

/**
 * How similar what was heard from `from` to `to` seconds is to a part of what was said: the correlation of the two envelopes, 1
 * if they are the same. A jitter buffer changes its delay while it plays. So the lag is found for all, and for each second anew,
 * up to 200 ms beside that; the result is the mean of the seconds.
 */
export function similarity(said, heard, from, to) {
  const part = envelope(heard).subarray(from * 250, to * 250), whole = envelope(said);
  const { lag } = best(whole, part, 0, Infinity);
  const seconds = Array.from({ length: to - from }, (_, second) => second * 250);
  const sum = seconds.reduce((sum, at) => (
    sum + best(whole, part.subarray(at, at + 250), lag + at - 50, lag + at + 50).correlation
  ), 0);
  return sum / seconds.length;
}

/** A sound that is played over and over. */
export function looped(pcm, times = 2) {
  const all = new Int16Array(pcm.length * times);
  for (let n = 0; n < times; n++) all.set(pcm, n * pcm.length);
  return all;
}

/**
 * Has a page and a native participant talk, and says how similar what each hears is to what the other said. `meanwhile` may
 * happen before that.
 */
export async function talk({ server, browser, site }, room, options, meanwhile = async () => undefined) {
  const native = await server.native(room, "anna");
  const page = await open(browser, site.url);
  await joins(page, await server.ticket(room, "ben"), { server: server.url, ...options });
  await page.evaluate(() => room.microphone({ echoCancellation: false, noiseSuppression: false, autoGainControl: false }));
  await page.waitForFunction(() => taps.said && taps.played);
  await meanwhile(page);
  // For as long as is compared, and what the way takes.
  await sleep(2_000);
  await recorded(page, "played");
  await sleep(8_000);
  const played = await recorded(page, "played");
  await sleep(1_000);
  const [said, carriage] = [await recorded(page, "said"), await page.evaluate(() => room.carriage)];
  const statistics = await page.evaluate(() => room.statistics());
  const heard = await native.heard();
  await page.evaluate(() => room.leave());
  await page.context().close();
  const last = heard.length / 48_000;
  const inPage = similarity(looped(host), played, 1, 7);
  const atNative = similarity(said, heard, last - 9, last - 3);
  console.log(`${room}: heard in the page ${inPage.toFixed(3)}, by the native participant ${atNative.toFixed(3)}`, statistics);
  return { inPage, atNative, carriage, statistics, said, played };
}

/** Similar means that they hear each other. */
export const SIMILAR = 0.8;

export function areHeard({ inPage, atNative }) {
  assert.ok(inPage >= SIMILAR, `the page hears ${inPage}`);
  assert.ok(atNative >= SIMILAR, `the native participant hears ${atNative}`);
}

/** The code of the error with which an expression of the page fails, its message, and whether it is one of the package. */
export const failure = (page, expression, argument) => page.evaluate(
  async ([expression, argument]) => {
    try {
      await new Function("argument", `return (async () => ${expression})()`)(argument);
    } catch (error) {
      return { code: error.code, message: error.message, isTyped: error instanceof parlour.ParlourError };
    }
    return undefined;
  },
  [expression, argument],
);

/** Seconds of CPU of the pages' processes, and of all of a browser, of which `devtools` is a session. */
export async function cpuOf(devtools) {
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  const sum = (processes) => processes.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  return { page: sum(processInfo.filter(({ type }) => type === "renderer")), all: sum(processInfo) };
}

/** Bytes of memory that the largest page's process has to itself. */
export async function memoryOf(devtools) {
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  const of = ({ id }) => {
    try {
      return 1_024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      return 0; // It has ended.
    }
  };
  return Math.max(...processInfo.filter(({ type }) => type === "renderer").map(of));
}

/** Waits until the page is told an event with these fields. */
export const happens = (page, type, fields = {}) => page.waitForFunction(
  ([type, fields]) => happened.find((event) => event.type === type
    && Object.entries(fields).every(([name, value]) => event[name] === value)),
  [type, fields],
).then((handle) => handle.jsonValue());
