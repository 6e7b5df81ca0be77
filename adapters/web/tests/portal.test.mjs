// The portal: what admins do, with people in rooms who come by browser and by command; and what may go wrong meanwhile.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { accessible, button, close, fits, go, open as openPage, test } from "./portal.mjs";
import { browser, end, Server, visit } from "./rig.mjs";

const PASSWORD = "correct horse battery";
let server, guarded, chromium;

before(async () => {
  if (process.env.DIST) return;
  [server, guarded, chromium] = await Promise.all([Server.start(), Server.start({ environment: { PARLOUR__PORTAL__PASSWORD: "true", PARLOUR__HTTP__LIMITS__LOGINS_PER_MIN: "1000" } }), browser()]);
  await guarded.command("room", "create", "kitchen");
});
after(async () => {
  await chromium?.close();
  for (const one of [server, guarded]) {
    await one?.stop();
    one?.network.close();
  }
});

const open = (page, { at = server, options } = {}) => openPage(chromium, at, page, options);
const person = (page, id) => page.locator(`.person[data-id="${id}"]`);
const state = (page, id, state) => page.locator(`.person[data-id="${id}"][data-state="${state}"]`).waitFor();
const json = async (...words) => JSON.parse(await server.command(...words, "--output", "json"));

test("a room is made, people are invited, come, and are moderated in each way", { timeout: 120_000 }, async () => {
  assert.match(server.told, /portal +http:\S+\/portal\//, "the start says where the portal is");
  const page = await open("/rooms");
  await button(page, "New room").first().click();
  // What the API finds wrong stands at its field.
  await page.getByLabel("Name", { exact: true }).fill("no such/name");
  await page.getByRole("dialog").getByRole("button", { name: "New room" }).click();
  await page.waitForFunction(() => document.querySelector("dialog .problem:not(:empty)"));
  assert.equal(await page.getByLabel("Name", { exact: true }).getAttribute("aria-invalid"), "true");
  await page.getByLabel("Name", { exact: true }).fill("green-room");
  await page.getByLabel("Title", { exact: true }).fill("Green room");
  await page.getByRole("dialog").getByRole("button", { name: "New room" }).click();
  await page.locator('#main[data-page="#/rooms/green-room/invite"]').waitFor();

  // A guest by a link, in a browser.
  await button(page, "Make a link").click();
  const link = await page.getByLabel("Link", { exact: true }).inputValue();
  assert.equal(await page.locator("svg.qr").count(), 1);
  const guest = await visit(chromium, link);
  await guest.getByLabel("Your name").fill("Gwen");
  await button(guest, "Join").click();
  await guest.locator("#room").waitFor();
  // A participant by a ticket, with the command that the page shows.
  await page.getByLabel("Participant’s id", { exact: true }).fill("ben");
  await page.getByLabel("Name that others see", { exact: true }).fill("Ben");
  await button(page, "Make a ticket").click();
  const shown = await page.getByLabel("Command", { exact: true }).inputValue();
  const [, ticket] = /^parlour join '(parlour:\S+)'$/.exec(shown) ?? [];
  assert.ok(ticket, shown);
  const ben = await server.joinBy(ticket, "--tone", "440");

  await go(page, "/rooms/green-room");
  await person(page, "ben").waitFor();
  await state(page, "ben", "speaks");
  assert.equal(await page.locator(".person").count(), 2);
  await accessible(page, "room");

  // Silence, and let speak.
  await button(page, "Silence: Ben").click();
  await state(page, "ben", "censored");
  await button(page, "Let speak: Ben").click();
  await page.locator('.person[data-id="ben"]:not([data-state="censored"])').waitFor();
  // A message in the guest's chat.
  await button(page, "Message to all").click();
  await page.getByLabel("Text", { exact: true }).fill("Dinner is ready");
  await button(page, "Send").click();
  await guest.locator(".message, #unread:not([hidden])").first().waitFor({ state: "attached" });
  // A stream is stopped; its publisher stays.
  await button(page, "Stop: Microphone, Gwen").click();
  await page.locator('.person[data-state="listens"]', { hasText: "Gwen" }).waitFor();
  // Removed, for the session.
  await person(page, "ben").getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await person(page, "ben").waitFor({ state: "detached" });
  await end(ben);
  // The moderator joins by the room page.
  const [popup] = await Promise.all([page.context().waitForEvent("page"), button(page, "Join as moderator").click()]);
  await popup.getByRole("button", { name: "Join", exact: true }).click();
  await page.locator(".person", { hasText: "Moderator" }).waitFor();
  await popup.close();
  // The end for all.
  await button(page, "End for all").click();
  await page.getByRole("dialog").getByRole("button", { name: "End for all" }).click();
  await guest.locator("#end[data-problem]").waitFor();
  await page.getByText("Nobody is here", { exact: true }).waitFor();
  // It is in the history.
  await go(page, "/sessions?room=green-room");
  await page.locator("tbody a").first().click();
  await page.locator(".timeline li", { hasText: "Ben" }).waitFor();
  assert.ok(await page.locator(".track .stay").count() >= 2);
  await accessible(page, "session");
  // A ban holds, and is lifted.
  await go(page, "/rooms/green-room/bans");
  await page.getByLabel("Participant’s id", { exact: true }).fill("ben");
  await page.getByLabel("Reason", { exact: true }).fill("shouts");
  await page.locator("form").getByRole("button", { name: "Ban somebody" }).click();
  await button(page, "Let in again: ben").click();
  await page.getByText("Nobody is banned").waitFor();
  // Browsers complain of each answer that is a problem, as that of the wrong name was.
  page.complaints = page.complaints.filter((text) => !text.includes("422"));
  await close(page);
  await guest.context().close();
});

test("who waits in the lobby is let in, or turned away", { timeout: 60_000 }, async () => {
  await server.command("room", "create", "hall", "--lobby");
  const page = await open("/rooms/hall");
  const [anna, carl] = [await server.join("hall", "anna", "--tone", "440"), await server.join("hall", "carl", "--tone", "440")];
  await button(page, "Let in: anna").click();
  await person(page, "anna").waitFor();
  await button(page, "Turn away: carl").click();
  await page.locator(".knocks").waitFor({ state: "detached" });
  assert.equal(await page.locator(".person").count(), 1);
  await end(anna);
  await end(carl);
  await close(page);
});

test("two admins see each other's changes, and neither overwrites the other's unseen", { timeout: 60_000 }, async () => {
  await server.command("room", "create", "shared");
  const [one, other] = [await open("/rooms/shared/settings"), await open("/rooms/shared/settings")];
  await one.getByLabel("Title", { exact: true }).fill("One’s title");
  await other.getByLabel("Title", { exact: true }).fill("Other’s title");
  await button(one, "Save").click();
  await one.locator(".toast", { hasText: "Saved." }).waitFor();
  await button(other, "Save").click();
  await other.getByText("Somebody else has changed this meanwhile (title)").waitFor();
  assert.equal(await other.getByLabel("Title", { exact: true }).inputValue(), "Other’s title", "nothing typed is lost");
  await button(other, "Save").click();
  await other.locator(".toast", { hasText: "Saved." }).waitFor();
  assert.equal((await json("room", "get", "shared")).title, "Other’s title");
  // Lists are live.
  await go(one, "/rooms");
  await go(other, "/keys");
  await server.command("room", "create", "later");
  await one.getByRole("link", { name: "later" }).waitFor();
  await server.command("key", "create", "theirs", "--scopes", "read");
  await other.getByRole("cell", { name: "theirs", exact: true }).waitFor();
  other.complaints = other.complaints.filter((text) => !text.includes("412"));
  await close(one, other);
});

test("a webhook whose receiver fails is told of, and tried again by hand", { timeout: 60_000 }, async () => {
  let status = 500;
  const taken = [];
  const receiver = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (status < 300) taken.push(JSON.parse(body).type);
    response.writeHead(status).end(status < 300 ? "" : "<b>out of order</b>");
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const page = await open("/webhooks");
  await page.getByRole("button", { name: "New webhook" }).first().click();
  await page.getByLabel("Address", { exact: true }).fill(`http://127.0.0.1:${receiver.address().port}/hook`);
  await page.getByLabel("Events", { exact: true }).fill("room.created");
  await page.getByRole("dialog").getByRole("button", { name: "New webhook" }).click();
  const secret = page.getByRole("dialog", { name: "The webhook’s secret" });
  assert.match(await secret.getByLabel("Secret", { exact: true }).inputValue(), /^whsec_/);
  await secret.getByRole("button", { name: "I have kept it" }).click();
  await button(page, "Send a test").click();
  const failed = page.getByRole("dialog", { name: "The test was not taken" });
  assert.match(await failed.locator("pre").textContent(), /<b>out of order<\/b>/);
  await failed.getByRole("button", { name: "Close" }).click();
  await server.command("room", "create", "told");
  await page.locator(".badge", { hasText: "Failing" }).waitFor();
  await accessible(page, "webhook");
  // The overview says it first.
  const overview = await open("/");
  await overview.locator(".notice", { hasText: "does not take what it is sent" }).waitFor();
  await close(overview);
  status = 204;
  await button(page, "Try now: room.created").first().click();
  await page.locator("tbody .badge", { hasText: "Taken" }).first().waitFor();
  await page.locator(".title .badge", { hasText: "Works" }).waitFor();
  assert.ok(taken.includes("room.created"));
  await button(page, "Delete").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator('#main[data-page="#/webhooks"]').waitFor();
  receiver.close();
  await close(page);
});

test("events come live; keys are made, exchanged and revoked; the audit log has it", { timeout: 60_000 }, async () => {
  const page = await open("/events");
  await server.command("room", "create", "eventful");
  await page.locator("tr.new", { hasText: "eventful" }).waitFor();
  await button(page, "Hold").click();
  await server.command("room", "create", "held");
  await sleep(500);
  assert.equal(await page.locator("tr", { hasText: "held" }).count(), 0);
  await button(page, "Go on").click();
  await page.locator("tr", { hasText: "held" }).waitFor();
  await go(page, "/keys");
  await button(page, "New key").click();
  await page.getByLabel("Id", { exact: true }).fill("backend");
  await page.getByRole("checkbox", { name: /^read/ }).check();
  await page.getByRole("dialog").getByRole("button", { name: "New key" }).click();
  const secret = await page.getByLabel("Secret", { exact: true }).inputValue();
  const reads = async (key) => (await fetch(`${server.url}/v1/rooms`, { headers: { authorization: `Bearer ${key}` } })).status;
  assert.equal(await reads(secret), 200);
  await button(page, "I have kept it").click();
  await button(page, "New secret: backend").click();
  await page.getByLabel("The former secret still works for", { exact: true }).selectOption("0");
  await page.getByRole("dialog").getByRole("button", { name: "New secret" }).click();
  await button(page, "I have kept it").click();
  assert.equal(await reads(secret), 401);
  await button(page, "Revoke: backend").click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.locator("tr", { hasText: "backend" }).filter({ hasText: "Revoked" }).waitFor();
  await go(page, "/audit?actor=admin:dev");
  for (const action of ["POST /v1/keys", "DELETE /v1/keys/{id}"]) await page.locator("tr", { hasText: action }).first().waitFor();
  // The same by the command that the page shows.
  await page.locator("#how summary").click();
  const line = await page.locator("#how code", { hasText: "parlour audit list" }).first().textContent();
  const told = await json(...line.split(" ").slice(1).map((word) => word.replaceAll("'", "")));
  assert.ok((told.data ?? told).some(({ action }) => action === "POST /v1/keys"));
  await close(page);
});

test("a session is recorded and everybody knows; its recordings are heard, fetched and deleted", { timeout: 120_000 }, async () => {
  await server.command("room", "create", "studio");
  const [anna, ben] = [await server.join("studio", "anna", "--tone", "440"), await server.join("studio", "ben", "--tone", "330")];
  const page = await open("/rooms/studio");
  await person(page, "anna").waitFor();
  await person(page, "ben").waitFor();
  await button(page, "Record").click();
  await page.getByText("This session is recorded").waitFor();
  const { active_session: session } = await json("room", "get", "studio");
  assert.equal((await json("recording", "status", session)).active, true);
  const list = await open("/recordings?room=studio");
  await list.locator("tbody tr", { hasText: "anna" }).filter({ hasText: "Recording" }).waitFor();
  await accessible(list, "recordings");
  await sleep(4_000);
  await button(page, "Stop recording").click();
  await page.getByText("This session is recorded").waitFor({ state: "hidden" });
  // Those who look at the list see it become ready.
  await list.locator("tbody tr", { hasText: "anna" }).filter({ hasText: "Ready" }).waitFor();
  await list.locator("tbody tr", { hasText: "ben" }).filter({ hasText: "Ready" }).waitFor();
  await list.locator("tbody tr", { hasText: "anna" }).getByRole("link").first().click();
  await list.getByRole("heading", { name: "Recording of anna", level: 1 }).waitFor();
  await accessible(list, "recording");
  const heard = await list.locator("audio").evaluate(async (audio) => {
    audio.muted = true;
    await audio.play();
    while (audio.currentTime <= .5 && !audio.error) await new Promise((resolve) => { setTimeout(resolve, 50); });
    return { duration: audio.duration, error: audio.error?.message };
  });
  assert.equal(heard.error, undefined);
  assert.ok(heard.duration > 3.5 && heard.duration < 15, JSON.stringify(heard));
  const [download] = await Promise.all([list.waitForEvent("download"), list.getByRole("link", { name: "Download" }).click()]);
  assert.match(download.suggestedFilename(), /\.opus$/);
  assert.equal(readFileSync(await download.path()).subarray(0, 4).toString(), "OggS");
  await go(list, `/sessions/${session}`);
  await list.getByRole("region", { name: "Recordings" }).locator("tbody tr").nth(1).waitFor();
  // One is deleted by itself, the other as all that the filter shows.
  await go(list, "/recordings?room=studio");
  await list.locator("tbody tr", { hasText: "ben" }).getByRole("link").first().click();
  await list.getByRole("heading", { name: "Recording of ben", level: 1 }).waitFor();
  await button(list, "Delete").click();
  await list.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await list.locator('#main[data-page="#/recordings"]').waitFor();
  await go(list, "/recordings?room=studio");
  assert.equal(await list.locator("tbody tr").count(), 1);
  await button(list, "Delete all of these").click();
  await list.getByRole("dialog").getByText("One of them, with").waitFor();
  await list.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await list.getByText("Nothing matches the filter").waitFor();
  assert.deepEqual((await json("recording", "list", "--room", "studio")).data ?? await json("recording", "list", "--room", "studio"), []);
  // Each session of a room, by its settings.
  await go(page, "/rooms/studio/settings");
  await page.getByLabel("Recording", { exact: true }).selectOption("audio");
  await page.getByLabel("Recordings are kept for (days)", { exact: true }).fill("7");
  await button(page, "Save").click();
  await page.locator(".toast", { hasText: "Saved." }).waitFor();
  assert.deepEqual((await json("room", "get", "studio")).recording, { mode: "audio", retention_days: 7 });
  await end(anna);
  await end(ben);
  await close(page, list);
});

test("the server is drained, and not; a backup is made", { timeout: 60_000 }, async () => {
  const page = await open("/server");
  await button(page, "Drain").click();
  await page.getByText("No session begins here any more. Sessions").waitFor();
  await button(page, "Stop draining").click();
  await page.locator(".title .badge", { hasText: "Works" }).waitFor();
  await button(page, "Make a backup").click();
  await page.locator("dd code", { hasText: ".db" }).waitFor();
  await close(page);
});

test("a login is needed where it is asked for; one that is over loses nothing typed", { timeout: 60_000 }, async () => {
  const page = await visit(chromium, `${guarded.url}/portal/`);
  const dialog = page.getByRole("dialog", { name: "Log in" });
  await dialog.waitFor();
  await accessible(page, "login");
  assert.equal((await fetch(`${guarded.url}/v1/rooms`)).status, 401);
  await dialog.getByLabel("Name", { exact: true }).fill("anna");
  await dialog.getByLabel("Password", { exact: true }).fill("a wrong guess");
  await button(dialog, "Log in").click();
  await dialog.getByText("there is no admin of this name").waitFor();
  await guarded.setPassword("anna", PASSWORD);
  await dialog.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  assert.equal(await page.locator("#admin").textContent(), "anna");
  assert.equal(await page.evaluate(() => document.cookie), "", "no script sees the cookie");
  await go(page, "/rooms/kitchen/settings");
  await page.getByLabel("Title", { exact: true }).fill("Typed with care");
  // All logins end.
  await guarded.setPassword("anna", `${PASSWORD}!`);
  await button(page, "Save").click();
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  assert.ok(await dialog.isVisible(), "there is no way around it");
  await dialog.getByLabel("Name", { exact: true }).fill("anna");
  await dialog.getByLabel("Password", { exact: true }).fill(`${PASSWORD}!`);
  await button(dialog, "Log in").click();
  await page.locator(".toast", { hasText: "Saved." }).waitFor();
  assert.equal(await page.getByLabel("Title", { exact: true }).inputValue(), "Typed with care");
  assert.equal(JSON.parse(await guarded.command("room", "get", "kitchen", "--output", "json")).title, "Typed with care");
  await button(page, "Log out").click();
  await dialog.waitFor();
  page.complaints = page.complaints.filter((text) => !/401/.test(text));
  await close(page);
});

const PAYLOADS = ["<img src=x onerror=alert(1)>", "\"><script>alert(2)</script>", "'-alert(3)-'", "javascript:alert(4)", "<svg/onload=alert(5)>", "{{7*7}}"];

test("nothing that people call themselves, write or send is more than a text, on any page", { timeout: 120_000 }, async () => {
  const room = encodeURIComponent(PAYLOADS[0]), key = server.key();
  const api = async (method, path, body) => {
    const answer = await fetch(`${server.url}/v1${path}`, { method, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(body) });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  };
  await server.command("room", "create", "hostile", "--title", PAYLOADS[1]);
  // Ids and names that tokens may have; rooms that are made by joining have any name that fits.
  const people = [];
  for (const [n, name] of PAYLOADS.entries()) {
    const id = n === 0 ? "<b>&\"'</b>" : `p${n}`;
    const { body, status } = await api("POST", "/rooms/hostile/tokens", { participant: id, name: name.slice(0, 32) });
    assert.equal(status, 201, JSON.stringify(body));
    people.push(await server.joinBy(body.ticket, "--tone", "440"));
  }
  const strange = await server.command("token", "create", "<img src=x>", "p0", "--ticket").then((ticket) => server.joinBy(ticket.split("\n")[0], "--tone", "440"), () => null);
  await api("PUT", `/rooms/hostile/bans/${encodeURIComponent("<i>x</i>")}`, { reason: PAYLOADS[4] });
  await api("POST", "/webhooks", { url: "http://127.0.0.1:1/<script>alert(6)</script>" });
  await api("DELETE", `/rooms/${room}`, undefined);
  const page = await open("/rooms/hostile");
  const alerts = [];
  page.on("dialog", (dialog) => {
    alerts.push(dialog.message());
    void dialog.dismiss();
  });
  await person(page, "p5").waitFor();
  await api("POST", `/sessions/${(await api("GET", "/rooms/hostile")).body.active_session}/messages`, { to: "all", topic: "<b>t</b>", body: PAYLOADS[4] });
  const session = (await api("GET", "/rooms/hostile")).body.active_session, [webhook] = (await api("GET", "/webhooks")).body.data;
  const pages = ["/rooms/hostile", "/rooms/hostile/invite", "/rooms/hostile/settings", "/rooms/hostile/bans", "/", "/rooms", "/rooms?prefix=%3Cimg", "/sessions", `/sessions/${session}`, "/participants", "/participants?participant=%3Cb%3E", "/recordings?room=%3Cimg", "/compositions?room=%3Cimg", "/webhooks", `/webhooks/${webhook.id}`, "/events", "/keys", "/audit", "/server", "/<img src=x onerror=alert(8)>", "/rooms/%3Cimg%20src=x%20onerror=alert(9)%3E"];
  for (const to of pages) {
    await page.goto(`${server.url}/portal/#${to}`);
    await page.locator("#main[data-page]").waitFor();
    await sleep(250);
    assert.equal(await page.locator("#main img, #main script, #main b i, #main iframe, #how img, #main a[href^='javascript']").count(), 0, to);
    assert.ok(await page.locator("#main h1").count() === 1, to);
  }
  // So are the names in the drawing of a composition, and the ids beside them in its form.
  await api("PUT", `/sessions/${session}/recording`, { participants: "all" });
  await go(page, `/recordings?session=${session}`);
  await page.locator("tbody tr").nth(PAYLOADS.length - 1).waitFor();
  await api("DELETE", `/sessions/${session}/recording`);
  await go(page, `/recordings?session=${session}&state=ready`);
  await page.locator("tbody tr").nth(PAYLOADS.length - 1).waitFor();
  await go(page, `/compositions/new?session=${session}`);
  await page.getByLabel("Format", { exact: true }).selectOption("mp4");
  assert.ok((await page.locator(".picture text").allTextContents()).includes(PAYLOADS[0].slice(0, 32)));
  await page.getByLabel("Sound", { exact: true }).selectOption("dual");
  await page.getByText(`${PAYLOADS[0].slice(0, 32)} (<b>&"'</b>)`).first().waitFor();
  assert.equal(await page.locator("#main b, #main svg b").count(), 0);
  await go(page, "/participants");
  assert.equal(await page.getByText(PAYLOADS[1].slice(0, 32), { exact: true }).count() > 0, true, "it is shown as it is");
  assert.deepEqual(alerts, []);
  // The policy forbids what the texts would do.
  assert.match((await fetch(`${server.url}/portal/`)).headers.get("content-security-policy"), /default-src 'none'; script-src 'self'; style-src 'self'/);
  for (const one of people) await end(one);
  if (strange) await end(strange);
  page.complaints = page.complaints.filter((text) => !/404|400/.test(text));
  await close(page);
});

test("every page can be used by screen readers, by keyboard, on a phone, in German", { timeout: 120_000 }, async () => {
  const page = await open("/");
  const pages = ["/", "/rooms", "/rooms/green-room/invite", "/rooms/green-room/settings", "/rooms/green-room/bans", "/sessions", "/participants", "/recordings", "/compositions", "/compositions/new", "/webhooks", "/events", "/keys", "/audit", "/server"];
  for (const to of pages) {
    if (to !== "/") await go(page, to);
    await accessible(page, to);
    if (to !== "/") assert.equal(await page.evaluate(() => document.activeElement?.tagName), "H1", `${to}: the heading is read first`);
    assert.match(await page.locator("#how").innerText(), /The same by request and command/i, to);
    assert.ok(await page.locator("#how .line code", { hasText: "curl" }).count() > 0, to);
    assert.ok(await page.locator("#how .line code", { hasText: /^parlour / }).count() > 0, to);
  }
  // By keyboard alone.
  await go(page, "/rooms");
  await button(page, "New room").first().focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await close(page);
  const phone = await open("/", { options: { locale: "de-DE", viewport: { width: 360, height: 740 } } });
  for (const to of pages) {
    if (to !== "/") await go(phone, to);
    await fits(phone, to);
  }
  assert.equal(await phone.evaluate(() => document.documentElement.lang), "de");
  await button(phone, "Menü").click();
  await phone.getByRole("link", { name: "Räume" }).click();
  await phone.getByRole("heading", { name: "Räume", level: 1 }).waitFor();
  await accessible(phone, "phone");
  await close(phone);
});
