// Prints the figures of docs/WEB.md: what a page loads, how soon it hears, what it takes. `npm run figures`, on a quiet machine.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { browser, cpuOf, end, memoryOf, Server, slowly, website } from "./rig.mjs";

const SECONDS = 20;
const OTHERS = { "livekit-client": "2.23.0", "@videosdk.live/js-sdk": "1.1.1" };
const here = import.meta.dirname, dist = resolve(process.env.DIST ?? join(here, "../dist")), others = join(here, "../target/others");

const kb = (bytes) => (bytes / 1_000).toFixed(0).padStart(5);
const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;

/** The bytes of a page's script that does no more than join, with what it imports. */
async function bundled(contents, options) {
  const { outputFiles: [script] } = await build({
    stdin: { contents, resolveDir: others }, bundle: true, write: false, minify: true, format: "esm", target: "es2022",
    logLevel: "error", legalComments: "none", define: { "process.env.NODE_ENV": '"production"', global: "globalThis" }, ...options,
  });
  return script.contents;
}

async function sizes() {
  mkdirSync(others, { recursive: true });
  console.log("What a page loads, in KB (1,000 bytes): as it is, and by brotli -q 11");
  const print = (name, ...files) => {
    const sum = (of) => files.reduce((sum, file) => sum + of(file), 0);
    console.log(`  ${kb(sum((file) => file.length))} ${kb(sum(brotli))}  ${name}`);
  };
  const ours = (...names) => names.map((name) => readFileSync(join(dist, name)));
  const page = await bundled(`import { Room } from ${JSON.stringify(join(dist, "index.js"))}; window.join = (t, o) => Room.join(t, o);`);
  for (const name of ["participant.wasm", "player.wasm", "encoder.wasm", "worker.js", "worklet.js"]) print(`  ${name}`, ...ours(name));
  print("  the page's script", page);
  const listens = [page, ...ours("worker.js", "worklet.js", "participant.wasm", "player.wasm")];
  print("@parlour/web, to listen", ...listens);
  print("@parlour/web, to listen and talk", ...listens, ...ours("encoder.wasm"));
  const missing = Object.entries(OTHERS).filter(([name]) => !existsSync(join(others, "node_modules", name)));
  const packages = missing.map(([name, version]) => `${name}@${version}`);
  const flags = ["install", "--prefix", others, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  if (packages.length) execFileSync("npm", [...flags, ...packages], { stdio: "ignore" });
  print(`livekit-client ${OTHERS["livekit-client"]}`, await bundled(`
    import { Room } from "livekit-client";
    window.join = async (url, token) => {
      const room = new Room();
      await room.connect(url, token);
      await room.localParticipant.setMicrophoneEnabled(true);
      return room;
    };`));
  print(`@videosdk.live/js-sdk ${OTHERS["@videosdk.live/js-sdk"]}`, await bundled(`
    import { VideoSDK } from "@videosdk.live/js-sdk";
    window.join = (token, meetingId) => {
      VideoSDK.config(token);
      const meeting = VideoSDK.initMeeting({ meetingId, name: "me", micEnabled: true, webcamEnabled: false });
      meeting.join();
      return meeting;
    };`));
}

const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];

/** A page that says at which time it plays something. */
async function listening(chromium, url) {
  const page = await (await chromium.newContext()).newPage();
  await page.addInitScript(() => {
    const connect = AudioNode.prototype.connect;
    AudioNode.prototype.connect = function (to, ...rest) {
      if (to instanceof AudioDestinationNode) {
        const analyser = new AnalyserNode(this.context, { fftSize: 256 }), samples = new Float32Array(256);
        connect.call(this, analyser);
        window.heard = new Promise((resolve) => {
          const timer = setInterval(() => {
            analyser.getFloatTimeDomainData(samples);
            if (!samples.some((sample) => Math.abs(sample) > 0.01)) return;
            clearInterval(timer);
            resolve(performance.now());
          }, 2);
        });
      }
      return connect.call(this, to, ...rest);
    };
  });
  await page.goto(url);
  await page.waitForFunction(() => window.parlour);
  return page;
}

async function times(server, chromium, site) {
  console.log("\nFrom the call of Room.join to joined, and to the first sound of another, in ms: the median of 5; the package's files");
  console.log("come without delay, at first from the website and then from what the page has");
  const talker = await server.join("stage", "talker", "--tone", "600"), ticket = await server.ticket("stage", "page");
  const seen = {};
  for (const delay of [0, 50]) {
    server.network.delay = delay;
    const api = await slowly(Number(new URL(server.url).port), server.network);
    for (const transport of ["webTransport", "webSocket"]) {
      const measured = { "at first": [], again: [] };
      for (let n = 0; n < 5; n++) {
        const page = await listening(chromium, site.url);
        for (const which of Object.keys(measured)) {
          measured[which].push(await page.evaluate(async ([ticket, options]) => {
            const began = performance.now(), room = await parlour.Room.join(ticket, options), joined = performance.now();
            const heard = await window.heard;
            await room.leave();
            return [joined - began, heard - began];
          }, [ticket, { server: api.url, transport }]));
          // One participant may not come and go faster.
          await sleep(1_500);
        }
        await page.context().close();
      }
      for (const [which, pairs] of Object.entries(measured)) {
        const figures = [0, 1].map((at) => median(pairs.map((pair) => pair[at])));
        const name = `${transport}, ${which}`, before = seen[name];
        const trips = before ? `; ${figures.map((ms, at) => ((ms - before[at]) / 100).toFixed(1)).join(" and ")} round trips` : "";
        seen[name] ??= figures;
        console.log(`  ${figures.map((ms) => ms.toFixed(0).padStart(5)).join(" ")}  ${2 * delay} ms round trip, ${name}${trips}`);
      }
    }
    api.close();
  }
  server.network.delay = 0;
  await end(talker, "SIGKILL");
}

async function loads(server, site) {
  console.log(`\nCPU over ${SECONDS} s, % of a core: the page's process, and all of Chromium; memory of the page's process, MB`);
  const print = async (name, prepare) => {
    const chromium = await browser();
    try {
      const devtools = await chromium.newBrowserCDPSession(), page = await (await chromium.newContext()).newPage();
      await page.goto(site.url);
      await page.waitForFunction(() => window.parlour);
      await prepare(page);
      await sleep(3_000);
      const before = await cpuOf(devtools), at = Date.now();
      await sleep(SECONDS * 1_000);
      const after = await cpuOf(devtools), seconds = (Date.now() - at) / 1_000;
      const share = (which) => (100 * (after[which] - before[which]) / seconds).toFixed(1).padStart(5);
      console.log(`  ${share("page")} ${share("all")} ${((await memoryOf(devtools)) / 1e6).toFixed(0).padStart(4)}  ${name}`);
    } finally {
      await chromium.close();
    }
  };
  const joins = async (page, room, id) => page.evaluate(async ([ticket, options]) => {
    window.room = await parlour.Room.join(ticket, options);
  }, [await server.ticket(room, id), { server: server.url }]);
  await print("the page alone", async () => undefined);
  await print("joined, nobody talks", (page) => joins(page, "quiet", "page"));
  for (const talkers of [1, 4]) {
    const natives = [];
    for (let n = 0; n < talkers; n++) natives.push(await server.join(`hall-${talkers}`, `talker-${n}`, "--tone", String(500 + 300 * n)));
    await print(`hears ${talkers}`, (page) => joins(page, `hall-${talkers}`, "page"));
    await Promise.all(natives.map((native) => end(native, "SIGKILL")));
  }
  const listener = await server.join("speech", "listener");
  await print("talks", async (page) => {
    await joins(page, "speech", "page");
    await page.evaluate(() => room.microphone());
  });
  await end(listener, "SIGKILL");
}

await sizes();
const [server, chromium, site] = [await Server.start(), await browser(), await website()];
try {
  await times(server, chromium, site);
  await chromium.close();
  await loads(server, site);
} finally {
  await chromium.close();
  site.close();
  await server.stop();
  server.network.close();
}
