// What shows only after a while: a full room for a minute, and a hundred stays.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { browser, cpuOf, end, joins, longestPause, memoryOf, open, recorded, Server, website } from "./rig.mjs";

let server, chromium, site, devtools;
before(async () => {
  [server, chromium, site] = [await Server.start(), await browser(), await website()];
  devtools = await chromium.newBrowserCDPSession();
});
after(async () => {
  await chromium?.close();
  site?.close();
  await server?.stop();
  server?.network.close();
});

test("twenty in a room, of whom four talk, for a minute", { timeout: 180_000 }, async () => {
  const SECONDS = 60, natives = [];
  try {
    for (let n = 0; n < 15; n++) natives.push(await server.join("hall", `listener-${n}`));
    for (const [n, hz] of [500, 800, 1_100, 1_700].entries()) natives.push(await server.join("hall", `talker-${n}`, "--tone", String(hz)));
    const page = await open(chromium, site.url);
    await joins(page, await server.ticket("hall", "page"), { server: server.url });
    await page.waitForFunction(() => room.participants.size === 20 && taps.played, null, { timeout: 60_000 });
    await sleep(3_000);
    await recorded(page, "played");
    const began = await cpuOf(devtools), at = Date.now();
    await sleep(SECONDS * 1_000);
    const ended = await cpuOf(devtools), seconds = (Date.now() - at) / 1_000;
    const { slots } = await page.evaluate(() => room.statistics());
    const played = await recorded(page, "played");
    const share = (which) => (ended[which] - began[which]) / seconds;
    const pause = longestPause(played);
    console.log(`the page takes ${(100 * share("page")).toFixed(1)} % of a core, the browser ${(100 * share("all")).toFixed(1)} %; `
      + `the longest pause is ${pause} ms; ${slots.map(({ received, lost, concealed }) => `${received}/${lost}/${concealed.toFixed(0)} ms`).join(", ")}`);
    assert.equal(slots.length, 4);
    assert.ok(played.length > (SECONDS - 5) * 48_000, "the sound card was served all the time");
    assert.ok(pause <= 50, `a pause of ${pause} ms`);
    // Four times what it takes where nothing else runs: a page that spins takes more.
    assert.ok(share("page") < 1, `${share("page")} cores`);
    await page.context().close();
  } finally {
    await Promise.all(natives.map((native) => end(native, "SIGKILL")));
  }
});

test("a hundred stays leave nothing behind", { timeout: 240_000 }, async () => {
  const page = await open(chromium, site.url);
  // With one ticket nobody can join so often.
  const tickets = await Promise.all(Array.from({ length: 20 }, (_, n) => server.ticket("inn", `guest-${n}`)));
  const heap = await page.context().newCDPSession(page);
  const measured = async () => {
    await heap.send("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await heap.send("Runtime.getHeapUsage");
    return { heap: usedSize + embedderHeapUsedSize + backingStorageSize, resident: await memoryOf(devtools) };
  };
  const stay = (n) => page.evaluate(async ([ticket, server]) => {
    const room = await parlour.Room.join(ticket, { server });
    const microphone = await room.microphone();
    await microphone.stop();
    await room.leave();
  }, [tickets[n % tickets.length], server.url]);
  for (let n = 0; n < 20; n++) await stay(n);
  const early = await measured();
  for (let n = 0; n < 80; n++) await stay(n);
  const late = await measured();
  const mb = (bytes) => (bytes / 1_048_576).toFixed(1);
  console.log(`after 20 stays ${mb(early.heap)} MB of heap and ${mb(early.resident)} MB of memory, after 100 ${mb(late.heap)} and ${mb(late.resident)}`);
  // Chromium keeps about 0.2 MB of each AudioContext; a stay that leaks itself, or compiles anew, 0.7 MB.
  assert.ok(late.heap - early.heap < 4 << 20, "the heap grows");
  assert.ok(late.resident - early.resident < 32 << 20, "the memory grows");
  const { nodes } = await heap.send("Memory.getDOMCounters");
  assert.ok(nodes < 1_000);
});
