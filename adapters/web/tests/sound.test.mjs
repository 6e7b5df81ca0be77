// A page and a native participant hear each other: by either carriage, with loss, through a restart of the server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assets, browser, joins, looped, open, recorded, samplesOf, Server, similarity, website } from "./rig.mjs";

const SIMILAR = 0.8;
const host = samplesOf(readFileSync(join(assets, "host.wav")));
let server, chromium, site;

before(async () => {
  [server, chromium, site] = [await Server.start(), await browser(), await website()];
});
after(async () => {
  await chromium?.close();
  site?.close();
  await server?.stop();
  server?.network.close();
});

async function talk(room, options, meanwhile = async () => undefined) {
  const native = await server.native(room, "anna");
  const page = await open(chromium, site.url);
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

function isHeard({ inPage, atNative }) {
  assert.ok(inPage >= SIMILAR, `the page hears ${inPage}`);
  assert.ok(atNative >= SIMILAR, `the native participant hears ${atNative}`);
}

test("by WebSocket", { timeout: 90_000 }, async () => {
  const talked = await talk("socket", { transport: "webSocket" });
  assert.equal(talked.carriage, "webSocket");
  isHeard(talked);
  // The measure tells sounds apart.
  assert.ok(similarity(looped(host), talked.said, 2, 8) < SIMILAR);
});

test("by WebTransport, which is the one that wins", { timeout: 90_000 }, async () => {
  const talked = await talk("transport", {});
  assert.equal(talked.carriage, "webTransport");
  isHeard(talked);
});

test("with 5 % loss each way", { timeout: 90_000 }, async () => {
  const { network } = server;
  const talked = await talk("loss", { transport: "webTransport" }, async () => { [network.loss, network.lost] = [0.05, 0]; });
  network.loss = 0;
  assert.ok(network.lost > 10, "packets were lost");
  isHeard(talked);
});

for (const transport of ["webSocket", "webTransport"]) {
  test(`through a restart of the server, by ${transport}`, { timeout: 120_000 }, async () => {
    const talked = await talk(`restart-${transport}`, { transport }, async (page) => {
      await sleep(2_000);
      await server.stop("SIGKILL");
      await page.evaluate(() => { happened.length = 0; });
      await server.run();
      await page.waitForFunction(() => happened.some(({ type }) => type === "joined"), null, { timeout: 30_000 });
      await page.waitForFunction(() => room.participants.has("anna"), null, { timeout: 30_000 });
    });
    assert.equal(talked.carriage, transport);
    isHeard(talked);
  });
}
