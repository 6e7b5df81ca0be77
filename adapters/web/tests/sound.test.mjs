// A page and a native participant hear each other: by either carriage, with loss, through a restart of the server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { areHeard, browser, host, looped, Server, similarity, SIMILAR, talk, website } from "./rig.mjs";

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

const talked = (room, options, meanwhile) => talk({ server, browser: chromium, site }, room, options, meanwhile);

test("by WebSocket", { timeout: 90_000 }, async () => {
  const heard = await talked("socket", { transport: "webSocket" });
  assert.equal(heard.carriage, "webSocket");
  areHeard(heard);
  // The measure tells sounds apart.
  assert.ok(similarity(looped(host), heard.said, 2, 8) < SIMILAR);
});

test("by WebTransport, which is the one that wins", { timeout: 90_000 }, async () => {
  const heard = await talked("transport", {});
  assert.equal(heard.carriage, "webTransport");
  areHeard(heard);
});

test("with 5 % loss each way", { timeout: 90_000 }, async () => {
  const { network } = server;
  const heard = await talked("loss", { transport: "webTransport" }, async () => { [network.loss, network.lost] = [0.05, 0]; });
  network.loss = 0;
  assert.ok(network.lost > 10, "packets were lost");
  areHeard(heard);
});

for (const transport of ["webSocket", "webTransport"]) {
  test(`through a restart of the server, by ${transport}`, { timeout: 120_000 }, async () => {
    const heard = await talked(`restart-${transport}`, { transport }, async (page) => {
      await sleep(2_000);
      await server.stop("SIGKILL");
      await page.evaluate(() => { happened.length = 0; });
      await server.run();
      await page.waitForFunction(() => happened.some(({ type }) => type === "joined"), null, { timeout: 30_000 });
      await page.waitForFunction(() => room.participants.has("anna"), null, { timeout: 30_000 });
    });
    assert.equal(heard.carriage, transport);
    areHeard(heard);
  });
}
