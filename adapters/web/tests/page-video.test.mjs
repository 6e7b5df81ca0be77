// Cameras and screens in the room page that the server serves.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { numberedFilm } from "./pictures.mjs";
import { accessible, button, close, fits, test } from "./portal.mjs";
import { browser, Server, visit } from "./rig.mjs";

let server, chromium;
before(async () => {
  [server, chromium] = await Promise.all([Server.start(), browser({ camera: numberedFilm() })]);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
  server?.network.close();
});

/** Enters by a ticket. */
async function entered(room, id, { options = {}, grants = [], by = chromium, lacks } = {}) {
  const ticket = await server.ticket(room, id, "--name", id[0].toUpperCase() + id.slice(1), ...grants);
  const page = await visit(by, `${server.url}/room/${room}#ticket=${encodeURIComponent(ticket)}`, options);
  if (lacks) await page.evaluate((lacks) => { delete HTMLCanvasElement.prototype[lacks]; }, lacks);
  await page.getByRole("button", { name: /^(Join|Eintreten)$/ }).click();
  await page.locator("#room").waitFor();
  return page;
}
const tile = (page, name) => page.locator(".person", { hasText: name });
/** Waits until a tile shows a picture, bright and moving. */
const shows = (page, name) => tile(page, name).and(page.locator(".pictured:not(.dim)")).waitFor();

test("a camera is seen by the others, as in a mirror only by oneself, and turned off again", { timeout: 90_000 }, async () => {
  const anna = await entered("studio", "anna"), ben = await entered("studio", "ben");
  assert.equal(await tile(ben, "Anna").locator("canvas, video").count(), 0);
  await button(anna, "Camera on").click();
  await Promise.all([shows(anna, "Anna"), shows(ben, "Anna")]);
  const turned = (page) => tile(page, "Anna").locator(".picture > *").evaluate((shown) => getComputedStyle(shown).transform);
  assert.match(await turned(anna), /^matrix\(-1,/);
  assert.equal(await turned(ben), "none");
  assert.equal(await tile(ben, "Ben").locator(".picture > *").count(), 0, "who has no camera on is a card");
  // By the keyboard: large, and as before.
  const large = ben.getByRole("button", { name: "Show large: Anna" });
  await large.focus();
  await ben.keyboard.press("Enter");
  await ben.locator("#large .person").waitFor();
  assert.equal(await large.getAttribute("aria-pressed"), "true");
  await accessible(ben, "a camera shown large");
  await tile(ben, "Anna").locator("canvas").click();
  await ben.locator("#large").waitFor({ state: "hidden" });
  await accessible(anna, "one's own camera");
  await button(anna, "Camera off").click();
  await ben.waitForFunction(() => document.querySelectorAll(".pictured").length === 0);
  assert.equal(await anna.locator(".pictured").count(), 0);
  await button(anna, "Camera on").click();
  await shows(ben, "Anna");
  await close(anna, ben);
});

test("a shared screen is large for the others, and whoever wants sees all alike", { timeout: 90_000 }, async () => {
  const anna = await entered("hall", "anna"), ben = await entered("hall", "ben", { options: { locale: "de-DE", viewport: { width: 390, height: 844 } } });
  await button(anna, "Camera on").click();
  await button(anna, "Share screen").click();
  const shared = ben.locator("#large .share.pictured:not(.dim)");
  await shared.waitFor();
  assert.match(await shared.textContent(), /Bildschirm von Anna/);
  assert.equal(await shared.locator("canvas").evaluate((canvas) => getComputedStyle(canvas).objectFit), "contain");
  await ben.waitForFunction(() => document.getElementById("announcements").textContent.includes("teilt einen Bildschirm"));
  assert.equal(await anna.locator("#large .share").count(), 0, "one's own screen is small");
  assert.match(await anna.locator("#people .share").textContent(), /Your screen/);
  await fits(ben, "the room");
  await accessible(ben, "a shared screen on a phone");
  await ben.getByRole("button", { name: "Groß zeigen: Bildschirm von Anna" }).click();
  await ben.locator("#people .share").waitFor();
  await ben.getByRole("button", { name: "Groß zeigen: Anna" }).click();
  await ben.locator("#large .person.pictured").waitFor();
  await button(anna, "Stop sharing").click();
  await ben.locator(".share").waitFor({ state: "detached" });
  assert.equal(await ben.locator("#large .person").count(), 1, "what was chosen stays");
  await button(anna, "Leave").click();
  await ben.locator("#large").waitFor({ state: "hidden" });
  await close(anna, ben);
});

test("a browser that is too old to show pictures says what it lacks, and goes on", { timeout: 60_000 }, async () => {
  const anna = await entered("museum", "anna"), ben = await entered("museum", "ben", { lacks: "transferControlToOffscreen" });
  await button(anna, "Camera on").click();
  await tile(ben, "Anna").locator(".trouble", { hasText: "OffscreenCanvas" }).waitFor();
  assert.equal(await ben.locator(".pictured").count(), 0);
  await button(anna, "Mute").click();
  await tile(ben, "Anna").filter({ hasText: "muted" }).waitFor();
  await fits(ben, "what is missing");
  await close(anna, ben);
});

test("a refused camera is told, and who may not show anything has no buttons for it", { timeout: 60_000 }, async () => {
  const refusing = await browser({ refuses: true });
  const anna = await entered("words", "anna", { by: refusing });
  await button(anna, "Camera on").click();
  await anna.locator(".notice", { hasText: "Your camera is not allowed" }).waitFor();
  assert.equal(await button(anna, "Camera on").count(), 1);
  await anna.locator(".notice", { hasText: "camera" }).getByRole("button", { name: "Close" }).click();
  const ben = await entered("words", "ben", { grants: ["--grants", "subscribe"] });
  await sleep(300);
  for (const name of ["Camera on", "Share screen"]) assert.equal(await button(ben, name).count(), 0, name);
  await close(anna, ben);
  // The microphone is another matter.
  const carla = await entered("words", "carla", { by: refusing, options: { permissions: ["microphone"] } });
  const dora = await entered("words", "dora");
  const isHeard = () => tile(dora, "Carla").filter({ hasText: "speaks" }).waitFor();
  await isHeard();
  await button(carla, "Camera on").click();
  await carla.locator(".notice", { hasText: "Your camera is not allowed" }).waitFor();
  assert.equal(await carla.locator(".notice", { hasText: "microphone" }).count(), 0);
  assert.equal(await button(carla, "Mute").count(), 1);
  await isHeard();
  await close(carla, dora);
  await refusing.close();
});
