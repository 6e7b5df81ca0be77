// The hooks for React, in a page with React's strict mode.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, Server, website } from "./rig.mjs";

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

async function app(room, id) {
  const page = await (await chromium.newContext()).newPage();
  page.on("pageerror", (error) => console.error("the page:", error));
  await page.addInitScript((asked) => { window.asked = asked; }, { ticket: await server.ticket(room, id), options: { server: server.url } });
  await page.goto(site.url.replace("page.html", "app.html"));
  await page.waitForSelector("#join");
  return page;
}

const shows = (page, id, text) => page.waitForFunction(
  ([id, text]) => document.getElementById(id).textContent.trim() === text, [id, text], { timeout: 20_000 },
);

test("a button pressed twice joins once", { timeout: 90_000 }, async () => {
  const page = await app("hall", "anna");
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => seen.push(document.getElementById("state").textContent.trim()))
      .observe(document.getElementById("state"), { subtree: true, childList: true, characterData: true });
    window.workers = 0;
    const Before = Worker;
    window.Worker = class extends Before {
      constructor(...options) { super(...options); workers++; }
    };
  });
  await page.dblclick("#join");
  await shows(page, "state", "joined 1");
  assert.ok((await page.evaluate(() => seen)).some((text) => text.startsWith("joining")));
  assert.equal(await page.evaluate(() => workers), 1);
  await page.click("#leave");
  await shows(page, "state", "out 0");
  // Given up while it is under way.
  await page.evaluate(() => { document.getElementById("join").click(); document.getElementById("leave").click(); });
  await shows(page, "state", "out 0");
  await page.click("#join");
  await shows(page, "state", "joined 1");
});

test("a microphone is the room's, whichever component shows it", { timeout: 90_000 }, async () => {
  const page = await app("studio", "anna");
  await page.click("#join");
  await shows(page, "state", "joined 1");
  await page.dblclick("#start");
  await shows(page, "microphone", "on");
  await page.click("#mute");
  await shows(page, "microphone", "muted");
  await page.click("#toggle");
  await page.waitForSelector("#microphone", { state: "detached" });
  await page.click("#toggle");
  await shows(page, "microphone", "muted");
  await page.click("#mute");
  await shows(page, "microphone", "on");
  // Unplugged, and there is no other.
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
    room.currentMicrophone.track.dispatchEvent(new Event("ended"));
  });
  await shows(page, "microphone", "off microphoneMissing");
});

test("a camera is the room's, and another's picture is there as long as its element", { timeout: 90_000 }, async () => {
  const [anna, ben] = [await app("gallery", "anna"), await app("gallery", "ben")];
  for (const page of [anna, ben]) await page.click("#join");
  await shows(anna, "state", "joined 2");
  await anna.dblclick("#film");
  await shows(anna, "camera", "on 1");
  const seen = () => ben.waitForFunction(() => {
    const canvases = document.querySelectorAll(".picture canvas");
    return canvases.length === 1 && canvases[0].width > 300;
  });
  await seen();
  await ben.click("#toggle");
  await ben.waitForFunction(() => document.querySelectorAll("canvas").length === 0);
  await ben.click("#toggle");
  await seen();
  await anna.click("#hide");
  await shows(anna, "camera", "muted 0");
  await anna.click("#end");
  await shows(anna, "camera", "off none");
  await ben.waitForFunction(() => document.querySelectorAll("canvas").length === 0);
});
