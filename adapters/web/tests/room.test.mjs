// What a page can do in a room besides talking, and what it is told when that fails.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, failure, happens, joins, open, Server, website } from "./rig.mjs";

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

async function joined(room, id, options = {}, ...grants) {
  const page = await open(chromium, site.url);
  await joins(page, await server.ticket(room, id, ...grants), { server: server.url, ...options });
  return page;
}

test("two pages see each other, and send each other messages", { timeout: 90_000 }, async () => {
  const anna = await joined("hall", "anna"), ben = await joined("hall", "ben", { transport: "webSocket" }, "--name", "Ben B.");
  await happens(anna, "participantJoined", { participant: "ben" });
  const seen = await anna.evaluate(() => [...room.participants.values()].map(({ id, name, isLocal }) => ({ id, name, isLocal })));
  assert.deepEqual(seen, [{ id: "anna", name: "", isLocal: true }, { id: "ben", name: "Ben B.", isLocal: false }]);
  assert.equal(await anna.evaluate(() => room.send("chat", "hällo")), 1);
  assert.equal((await happens(ben, "message", { topic: "chat" })).text, "hällo");
  assert.equal(await ben.evaluate(() => room.send("ping", new Uint8Array([1]), { to: ["anna"], reliable: false })), 0);
  await happens(anna, "message", { from: "ben", reliable: false });
  await ben.evaluate(() => room.setAttribute("hand", "raised"));
  await happens(anna, "attributeChanged", { participant: "ben", key: "hand" });
  assert.equal(await anna.evaluate(() => room.participants.get("ben").attributes.hand), "raised");
  await ben.evaluate(() => room.leave());
  assert.equal((await happens(anna, "participantLeft", { participant: "ben" })).reason, "left");
  assert.deepEqual(await ben.evaluate(() => [room.connection, happened.at(-1).reason]), ["closed", "left"]);
  assert.equal((await failure(ben, `room.send("chat", "too late")`)).code, "closed");
});

test("a microphone is muted, heard again, and turned off", { timeout: 90_000 }, async () => {
  const anna = await joined("studio", "anna"), ben = await joined("studio", "ben");
  await ben.evaluate(async () => { window.microphone = await room.microphone(); });
  await happens(anna, "speakingStarted", { participant: "ben" });
  for (const muted of [true, false]) {
    await ben.evaluate((muted) => microphone.setMuted(muted), muted);
    await happens(anna, "streamMuted", { muted });
    const [stream] = await anna.evaluate(() => room.participants.get("ben").streams);
    assert.deepEqual(stream, { key: "mic", kind: "audio", codec: "opus", muted });
  }
  await ben.evaluate(() => microphone.stop());
  await anna.waitForFunction(() => room.participants.get("ben").streams.length === 0);
  assert.equal((await failure(ben, "microphone.setMuted(true)")).code, "closed");
});

test("a moderator censors and kicks, and others may not", { timeout: 90_000 }, async () => {
  const anna = await joined("court", "anna", {}, "--grants", "participant,moderator"), ben = await joined("court", "ben");
  await happens(anna, "participantJoined", { participant: "ben" });
  const refused = await failure(ben, `room.kick("anna")`);
  assert.deepEqual([refused.code, refused.isTyped], ["notPermitted", true]);
  assert.match(refused.message, /does not grant/);
  assert.equal(await anna.evaluate(() => room.censor("ben")), 1);
  await happens(ben, "censored", { participant: "ben", censored: true });
  assert.equal(await anna.evaluate(() => room.kick("ben")), 1);
  assert.equal((await happens(ben, "closed")).reason, "kicked");
  const ticket = await server.ticket("court", "ben");
  const back = await failure(ben, "parlour.Room.join(argument.ticket, argument.options)", { ticket, options: { server: server.url } });
  assert.equal(back.code, "kicked");
});

test("who waits in the lobby is let in", { timeout: 90_000 }, async () => {
  const anna = await joined("salon", "anna", {}, "--grants", "participant,moderator");
  const ben = await joined("salon", "ben", {}, "--lobby");
  assert.equal(await ben.evaluate(() => room.connection), "waiting");
  await happens(anna, "knocked", { participant: "ben" });
  assert.equal(await anna.evaluate(() => room.admit("ben")), 1);
  await happens(ben, "joined");
  assert.equal(await ben.evaluate(() => room.me), "ben");
});

test("a second page of the same participant takes the place of the first", { timeout: 90_000 }, async () => {
  const first = await joined("attic", "anna");
  await joined("attic", "anna");
  assert.equal((await happens(first, "closed")).reason, "replaced");
});

test("a new token brings new grants", { timeout: 90_000 }, async () => {
  const anna = await joined("tower", "anna", {}, "--grants", "subscribe");
  assert.deepEqual(await anna.evaluate(() => room.grants), ["subscribe"]);
  assert.equal((await failure(anna, "room.microphone()")).code, "notPermitted");
  const ticket = await server.ticket("tower", "anna", "--grants", "participant");
  await anna.evaluate((token) => room.refreshToken(token), ticket.split("#")[1]);
  await happens(anna, "grantsChanged");
  await anna.evaluate(() => room.microphone());
  assert.equal((await failure(anna, `room.refreshToken("no token")`)).code, "invalidToken");
});

test("joining fails with what to do", { timeout: 90_000 }, async () => {
  const page = await open(chromium, site.url), ticket = await server.ticket("cellar", "anna");
  const join = (ticket, options) => failure(page, "parlour.Room.join(argument.ticket, argument.options)", { ticket, options });
  assert.equal((await join("https://here")).code, "invalidTicket");
  assert.equal((await join("parlour://here", { server: server.url })).code, "invalidTicket");
  assert.equal((await join(ticket, { server: "here" })).code, "invalidArgument");
  assert.equal((await join(ticket, { voices: 99 })).code, "invalidArgument");
  assert.equal((await join(ticket, { server: "http://127.0.0.1:1" })).code, "unreachable");
  assert.equal((await join(ticket, { server: new URL(site.url).origin })).code, "noServer");
  assert.equal((await join(`${ticket}x`, { server: server.url })).code, "invalidToken");
  const other = ticket.replace(/\/[^/]{43}#/, `/${"A".repeat(43)}#`);
  assert.equal((await join(other, { server: server.url, timeout: 2_000 })).code, "unreachable");
});

test("a microphone that is refused says so, and the room goes on", { timeout: 90_000 }, async () => {
  const other = await browser({ refuses: true });
  try {
    const page = await open(other, site.url);
    await joins(page, await server.ticket("porch", "anna"), { server: server.url });
    const refused = await failure(page, "room.microphone()");
    assert.equal(refused.code, "microphoneDenied");
    assert.equal(await page.evaluate(() => room.connection), "joined");
    assert.equal((await failure(page, `room.microphone({ deviceId: "none" })`)).code.startsWith("microphone"), true);
  } finally {
    await other.close();
  }
});

test("sound waits for a gesture, and any click unlocks it", { timeout: 90_000 }, async () => {
  const other = await browser({ gesture: true });
  try {
    const page = await open(other, site.url, [await server.ticket("garden", "anna"), { server: server.url }]);
    await page.waitForFunction(() => room.needsGesture, null, { timeout: 10_000 });
    await page.click("#gesture");
    await page.waitForFunction(() => !room.needsGesture);
  } finally {
    await other.close();
  }
});
