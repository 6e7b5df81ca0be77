// The room page that the server serves: as people use it, by mouse, keyboard and screen reader, and what it says when that fails.
import assert from "node:assert/strict";
import { after, before, test as run } from "node:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assets, browser, looped, recorded, samplesOf, Server, similarity, visit } from "./rig.mjs";

const SIMILAR = 0.8;
/** The page has the package that is part of the server. With another one there is nothing to find here. */
const test = process.env.DIST ? run.skip : run;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let server, chromium, deaf;

before(async () => {
  if (test === run.skip) return;
  [server, chromium] = [await Server.start(), await browser()];
});
after(async () => {
  await Promise.all([chromium?.close(), deaf?.close()]);
  await server?.stop();
  server?.network.close();
});

/** The address of a room's page with a ticket, and with a link for guests. */
const ticketed = async (room, id, ...options) => (
  `${server.url}/room/${room}#ticket=${encodeURIComponent(await server.ticket(room, id, ...options))}`
);
const guestLink = async (room, ...options) => {
  const made = JSON.parse(await server.command("token", "guest-link", room, "--output", "json", ...options));
  return server.url + made.page;
};

/** Enters by a ticket. */
async function entered(room, id, { options = {}, grants = [], others = {} } = {}) {
  const page = await visit(others.browser ?? chromium, await ticketed(room, id, "--name", name(id), ...grants), options);
  await page.getByRole("button", { name: /^(Join|Eintreten)$/ }).click();
  await page.locator("#room").waitFor();
  return page;
}
const name = (id) => id[0].toUpperCase() + id.slice(1);
const person = (page, name) => page.locator(".person", { hasText: name });
const button = (page, name) => page.getByRole("button", { name, exact: true });
/** Waits until the element with this id has the focus. */
const focused = (page, id) => page.waitForFunction((id) => document.activeElement.id === id, id);

/** Ends pages that have to have complained of nothing. */
async function close(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
}

async function ended(page, problem, title) {
  await page.locator(`#end[data-problem="${problem}"]`).waitFor();
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), title);
}

/** Fails if axe finds something on what the page shows now, in either scheme. */
async function accessible(page, what) {
  await page.evaluate(`${axe}; undefined`);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const { violations, passes } = await page.evaluate(() => window.axe.run(document));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
    assert.ok(passes.length > 10);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

test("two windows of the link that the server printed, and one at the command line, hear each other", { timeout: 180_000 }, async () => {
  const [link] = /http:\S+\/room\/kitchen#guest=\S+/.exec(server.told) ?? [];
  assert.ok(link, server.told);
  const native = await server.native("kitchen", "anna");
  const open = () => visit(chromium, link, { records: true });
  const pages = [await open(), await open()], [one, other] = pages;
  for (const page of pages) {
    assert.equal(await page.evaluate(() => location.href), `${server.url}/room/kitchen`, "the link is out of the address");
    await button(page, "Join").click();
    await button(page, "Mute").click();
    await page.waitForFunction(() => taps.said && taps.played);
  }
  await one.waitForFunction(() => document.querySelectorAll(".person").length === 3);
  assert.equal(await one.locator("#count").textContent(), "3 people");
  for (const page of pages) await person(page, "anna").filter({ hasText: "speaks" }).waitFor();
  const host = looped(samplesOf(readFileSync(join(assets, "host.wav")))), found = {};
  // One speaks at a time. A machine that is busy with other things leaves gaps: then the turn is taken again, twice at most.
  const turn = async (compare) => {
    for (let n = 0; ; n++) {
      await sleep(1_500);
      const of = (name) => Promise.all(pages.map((page) => recorded(page, name)));
      await Promise.all([of("said"), of("played")]);
      const from = Date.now();
      await sleep(6_500);
      const said = await of("said"), similar = compare(said, await of("played"));
      if (n < 2 && Object.values(similar).some((similar) => similar < SIMILAR)) continue;
      Object.assign(found, similar);
      return { from, said };
    }
  };
  await turn((_, heard) => ({
    "one hears anna": similarity(host, heard[0], 1, 6), "the other hears anna": similarity(host, heard[1], 1, 6),
  }));
  await server.command("session", "censor", "kitchen", "anna");
  await button(one, "Unmute").click();
  const ones = await turn((said, heard) => ({ "the other hears one": similarity(said[0], heard[1], 1, 6) }));
  await button(one, "Mute").click();
  await button(other, "Unmute").click();
  const others = await turn((said, heard) => ({ "one hears the other": similarity(said[1], heard[0], 1, 6) }));
  const until = Date.now(), atAnna = await native.heard();
  const annas = ({ from }) => Math.floor(atAnna.length / 48_000 - (until - from) / 1_000) + 1;
  found["anna hears one"] = similarity(ones.said[0], atAnna, annas(ones), annas(ones) + 4);
  found["anna hears the other"] = similarity(others.said[1], atAnna, annas(others), annas(others) + 4);
  console.log(found);
  for (const [who, similar] of Object.entries(found)) assert.ok(similar >= SIMILAR, `${who}: ${similar}`);
  await close(...pages);
});

test("one mutes, and talks while the space bar or the button is held", { timeout: 120_000 }, async () => {
  const anna = await entered("studio", "anna"), ben = await entered("studio", "ben");
  const bens = person(anna, "Ben").locator(".state");
  const becomes = (state) => bens.filter({ hasText: state }).waitFor();
  await becomes("speaks");
  await person(anna, "Ben").locator('.meter i[style*="scaleX("]:not([style*="scaleX(0)"])').waitFor();
  await button(ben, "Mute").click();
  await becomes("muted");
  await person(ben, "Ben").filter({ hasText: "muted" }).waitFor();
  await ben.keyboard.down("Space");
  await becomes("speaks");
  await ben.locator("#hold[aria-pressed=true]", { hasText: "You are heard" }).waitFor();
  await ben.keyboard.up("Space");
  await becomes("muted");
  // With a finger, or a mouse.
  const { x, y, width, height } = await ben.locator("#hold").boundingBox();
  await ben.mouse.move(x + width / 2, y + height / 2);
  await ben.mouse.down();
  await becomes("speaks");
  await ben.mouse.up();
  await becomes("muted");
  // A space that is written is a space.
  await button(ben, "Chat").click();
  await focused(ben, "message");
  await ben.keyboard.type("a b");
  assert.equal(await ben.locator("#message").inputValue(), "a b");
  await becomes("muted");
  await button(ben, "Unmute").click();
  await becomes("speaks");
  await close(anna, ben);
});

test("messages go both ways, a hand is seen, and who leaves is gone", { timeout: 120_000 }, async () => {
  const anna = await entered("hall", "anna"), ben = await entered("hall", "ben");
  await person(anna, "Ben").waitFor();
  await anna.locator("#announcements").filter({ hasText: "Ben joined." }).waitFor();
  await button(anna, "Chat").click();
  await focused(anna, "message");
  await anna.keyboard.type("<b>Hällo</b>");
  await anna.keyboard.press("Enter");
  await ben.locator("#announcements").filter({ hasText: "New message from Anna." }).waitFor();
  await ben.getByRole("button", { name: "Chat One new message" }).click();
  await ben.locator(".message", { hasText: "Anna" }).filter({ hasText: "<b>Hällo</b>" }).waitFor();
  await focused(ben, "message");
  await ben.keyboard.type("Hello");
  await button(ben, "Send").click();
  await anna.locator(".message", { hasText: "Ben" }).filter({ hasText: "Hello" }).waitFor();
  await ben.locator("#message").fill("ö".repeat(400));
  await button(ben, "Send").click();
  await ben.locator("#chat-problem", { hasText: "too long" }).waitFor();
  await ben.keyboard.press("Escape");
  await ben.locator("#chat").waitFor({ state: "hidden" });
  await button(ben, "Raise hand").click();
  await person(anna, "Ben").filter({ hasText: "raised a hand" }).waitFor();
  await anna.locator("#announcements").filter({ hasText: "Ben raised a hand." }).waitFor();
  await ben.getByRole("button", { name: "Raise hand", pressed: true }).click();
  await person(anna, "Ben").locator(".raised").waitFor({ state: "hidden" });
  await button(ben, "Leave").click();
  await ended(ben, "left", "You have left");
  await person(anna, "Ben").waitFor({ state: "detached" });
  await anna.locator("#announcements").filter({ hasText: "Ben left." }).waitFor();
  // In again, by one click, and after a reload.
  await button(ben, "Join again").click();
  await person(anna, "Ben").waitFor();
  await ben.reload();
  await button(ben, "Join").click();
  await ben.locator("#room").waitFor();
  await close(anna, ben);
});

test("a moderator mutes and removes, and the page says so", { timeout: 120_000 }, async () => {
  const anna = await entered("court", "anna"), ben = await entered("court", "ben");
  await person(anna, "Ben").waitFor();
  await server.command("session", "censor", "court", "ben");
  await ben.locator(".notice", { hasText: "A moderator has muted you." }).waitFor();
  await person(anna, "Ben").filter({ hasText: "muted by a moderator" }).waitFor();
  await server.command("session", "uncensor", "court", "ben");
  await ben.locator(".notice").waitFor({ state: "detached" });
  await server.command("session", "kick", "court", "ben");
  await ended(ben, "kicked", "You were removed");
  // Nothing leads back.
  await ben.reload();
  await ben.getByRole("heading", { name: "A ticket, please" }).waitFor();
  await server.command("session", "end", "court");
  await ended(anna, "sessionEnded", "The session has ended");
  await close(anna, ben);
});

test("everybody sees and hears that the session is recorded, also who comes later", { timeout: 120_000 }, async () => {
  const one = await entered("choir", "anna");
  const sign = (page) => page.locator("#recorded");
  assert.ok(await sign(one).isHidden());
  await server.command("recording", "start", "choir", "--all");
  await sign(one).waitFor();
  assert.equal((await sign(one).innerText()).trim(), "Recorded");
  await one.locator("#announcements", { hasText: "This meeting is recorded." }).waitFor({ state: "attached" });
  await accessible(one, "recorded");
  const other = await entered("choir", "ben", { options: { locale: "de-DE" } });
  await sign(other).waitFor();
  assert.equal((await sign(other).innerText()).trim(), "Aufgezeichnet");
  await server.command("recording", "stop", "choir");
  await sign(one).waitFor({ state: "hidden" });
  await sign(other).waitFor({ state: "hidden" });
  await one.locator("#announcements", { hasText: "This meeting is no longer recorded." }).waitFor({ state: "attached" });
  await close(one, other);
});

test("who waits in the lobby is let in by who may, or turned away", { timeout: 120_000 }, async () => {
  const anna = await entered("salon", "anna", { grants: ["--grants", "moderator,participant"] });
  const link = await guestLink("salon", "--lobby");
  const waits = async (name) => {
    const page = await visit(chromium, link);
    await page.getByLabel("Your name").fill(name);
    await button(page, "Join").click();
    await page.getByRole("heading", { name: "You are in the lobby" }).waitFor();
    return page;
  };
  const ben = await waits("Ben");
  await accessible(ben, "the lobby");
  await anna.locator("#knocks-title", { hasText: "One person waits in the lobby" }).waitFor();
  await accessible(anna, "somebody waits");
  await button(anna, "Let in: Ben").click();
  await ben.locator("#room").waitFor();
  await person(anna, "Ben").waitFor();
  const carla = await waits("Carla");
  await button(anna, "Turn away: Carla").click();
  await ended(carla, "denied", "You were not let in");
  await close(anna, ben, carla);
});

test("a second tab takes the place of the first, and gives it back", { timeout: 120_000 }, async () => {
  const link = await ticketed("attic", "anna"), pages = [];
  for (const _ of [1, 2]) {
    const page = await visit(chromium, link);
    await button(page, "Join").click();
    await page.locator("#room").waitFor();
    pages.push(page);
  }
  const [first, second] = pages;
  await ended(first, "replaced", "You are in this room elsewhere");
  await button(first, "Go on here").click();
  await first.locator("#room").waitFor();
  await ended(second, "replaced", "You are in this room elsewhere");
  await close(first, second);
});

test("what does not open the room is told with what to do", { timeout: 120_000 }, async () => {
  const ticket = await server.ticket("cellar", "anna"), short = await server.ticket("cellar", "anna", "--ttl", "1s");
  const link = await guestLink("cellar", "--ttl", "1s");
  const page = await visit(chromium, `${server.url}/room/cellar`);
  const heading = page.getByRole("heading", { level: 1 });
  await page.getByRole("heading", { name: "A ticket, please" }).waitFor();
  await accessible(page, "no ticket");
  const typed = async (text) => {
    await page.getByLabel("Link or ticket").fill(text);
    await button(page, "Continue").click();
  };
  for (const none of ["", "https://example.org", "parlour://here", ticket.slice(0, 60), ticket.replace("#", "")]) {
    await typed(none);
    await page.locator("#typed-problem", { hasText: "This is not a whole ticket." }).waitFor();
  }
  await accessible(page, "no whole ticket");
  const refused = async (text, problem, title) => {
    await typed(text);
    await button(page, "Join").click();
    await ended(page, problem, title);
    await button(page, "Use another link or ticket").click();
  };
  await refused(ticket.replace(/\/[^/]{43}#/, `/${"A".repeat(43)}#`), "otherServer", "This ticket is for another server");
  await refused(await server.ticket("kitchen", "anna"), "otherRoom", "This ticket is for another room");
  await refused(`${ticket}x`, "invalidTicket", "This is not a whole ticket");
  await refused(short, "tokenExpired", "Your ticket has expired");
  assert.deepEqual(page.complaints, []);
  await refused(`${server.url}/room/cellar#guest=${link.split("=")[1]}`, "linkExpired", "This link is not valid any more");
  await refused("pgl_guess", "linkExpired", "This link is not valid any more");
  // The browser itself notes each answer of 401.
  assert.equal(page.complaints.splice(0).filter((text) => !text.includes("401")).length, 0);
  await typed(ticket);
  await button(page, "Join").click();
  await page.locator("#room").waitFor();
  // A link in the address that is none.
  const other = await visit(chromium, `${server.url}/room/cellar#guest=`);
  await ended(other, "invalidTicket", "This is not a whole ticket");
  await accessible(other, "an error");
  await close(page, other);
});

test("without a microphone one listens, and is told how to get one", { timeout: 120_000 }, async () => {
  deaf = await browser({ refuses: true });
  const anna = await entered("porch", "anna", { others: { browser: deaf } }), ben = await entered("porch", "ben");
  await anna.locator(".notice", { hasText: "Your microphone is not allowed, so you only listen." }).waitFor();
  await person(ben, "Anna").filter({ hasText: "only listens" }).waitFor();
  await person(anna, "Ben").filter({ hasText: "speaks" }).waitFor();
  await accessible(anna, "a refused microphone");
  await anna.context().grantPermissions(["microphone"]);
  await button(anna, "Try again").click();
  await anna.locator(".notice").waitFor({ state: "detached" });
  await person(ben, "Anna").filter({ hasText: "only listens" }).waitFor({ state: "detached" });
  // Who may not speak is not asked.
  const carla = await entered("porch", "carla", { grants: ["--grants", "subscribe"], others: { browser: deaf } });
  await carla.locator(".notice", { hasText: "You listen in this room." }).waitFor();
  assert.equal(await carla.locator("#mute").isVisible(), false);
  await close(anna, ben, carla);
});

test("in German, by the language of the browser", { timeout: 120_000 }, async () => {
  const anna = await entered("stube", "anna", { options: { locale: "de-AT" } });
  assert.equal(await anna.evaluate(() => document.documentElement.lang), "de");
  assert.equal(await anna.locator("#count").textContent(), "Eine Person");
  await button(anna, "Mikro aus").click();
  await person(anna, "Anna").filter({ hasText: "stumm" }).waitFor();
  await button(anna, "Verlassen").click();
  await ended(anna, "left", "Du hast den Raum verlassen");
  await close(anna);
});

test("by keyboard alone, from the name to the end; axe finds nothing on the way", { timeout: 120_000 }, async () => {
  const page = await visit(chromium, await guestLink("walk"), { viewport: { width: 390, height: 844 } });
  await accessible(page, "the entry");
  const walked = [];
  /** Goes on to the element with this id, and sees that it is shown where the focus is. */
  const to = async (id) => {
    for (let n = 0; n < 12; n++) {
      await page.keyboard.press("Tab");
      const [here, outline] = await page.evaluate(() => {
        const { activeElement } = document;
        return [activeElement.id, getComputedStyle(activeElement).outlineStyle];
      });
      assert.equal(outline, "solid", `the focus on ${here} is seen`);
      walked.push(here);
      if (here === id) return;
    }
    assert.fail(`${id} is not reached: ${walked}`);
  };
  await to("name");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("Dora");
  await to("join");
  await page.keyboard.press("Enter");
  await page.locator("#room").waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === "walk");
  await to("mute");
  await page.keyboard.press("Enter");
  await person(page, "Dora").filter({ hasText: "muted" }).waitFor();
  await page.locator("#hold").waitFor();
  await page.keyboard.press("Shift+Tab");
  await focused(page, "hold");
  await page.keyboard.down("Space");
  await person(page, "Dora").filter({ hasText: /microphone on|speaks/ }).waitFor();
  await page.keyboard.up("Space");
  await to("hand");
  await page.keyboard.press("Space");
  await person(page, "Dora").filter({ hasText: "raised a hand" }).waitFor();
  await to("chat-open");
  await page.keyboard.press("Enter");
  await focused(page, "message");
  await page.keyboard.type("Hello");
  await page.keyboard.press("Enter");
  await page.locator(".message", { hasText: "Hello" }).waitFor();
  await accessible(page, "the chat");
  await page.keyboard.press("Escape");
  await focused(page, "chat-open");
  await to("devices-open");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await accessible(page, "the devices");
  await page.keyboard.press("Escape");
  await focused(page, "devices-open");
  await accessible(page, "the room");
  await to("leave");
  await page.keyboard.press("Enter");
  await ended(page, "left", "You have left");
  await accessible(page, "the end");
  const small = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(small <= 390, `${small} px are wider than a phone`);
  await close(page);
});

test("no other server is asked, and no script but the page's own runs", { timeout: 120_000 }, async () => {
  const page = await visit(chromium, await ticketed("vault", "anna"));
  const asked = [];
  page.on("request", (request) => asked.push(request));
  await button(page, "Join").click();
  await page.locator("#room").waitFor();
  await person(page, "anna").filter({ hasText: "speaks" }).waitFor();
  const foreign = asked.filter((request) => !request.url().startsWith(server.url));
  assert.deepEqual(foreign.map((request) => request.url()), []);
  for (const request of asked) {
    assert.doesNotMatch(request.url(), /parlour:|pgl_|eyJ/);
    assert.equal((await request.allHeaders()).referer, undefined);
  }
  // Another link in the tab of one who is in the room.
  await page.evaluate(() => { location.hash = "guest=pgl_x"; });
  await page.waitForFunction(() => !location.href.includes("#"));
  assert.equal(await page.locator("#room").isVisible(), true);
  assert.deepEqual(page.complaints, []);
  const blocked = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    const away = await fetch("https://example.org/").then(() => true, () => false);
    return [window.ran, away];
  });
  assert.deepEqual(blocked, [undefined, false]);
  const others = page.complaints.splice(0).filter((text) => !/Content Security Policy|Failed to load/.test(text));
  assert.deepEqual(others, []);
  await close(page);
});

test("sound that the browser holds back, and a connection that breaks", { timeout: 120_000 }, async () => {
  const page = await entered("garden", "anna", { options: { records: true } });
  await page.waitForFunction(() => taps.context);
  await page.evaluate(() => taps.context.suspend());
  await page.locator(".notice", { hasText: "Your browser plays sound only after a click." }).waitFor();
  await button(page, "Play sound").click();
  await page.locator(".notice").waitFor({ state: "detached" });
  await server.stop("SIGKILL");
  await page.locator(".notice", { hasText: "The connection is broken." }).waitFor();
  await server.run();
  await page.locator(".notice").waitFor({ state: "detached" });
  await person(page, "Anna").waitFor();
  // The browser notes that the server was away.
  page.complaints.length = 0;
  await close(page);
});
