// Compositions and the player in the portal: a meeting is recorded, composed, heard, fetched, cancelled and deleted.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { accessible, button, close, fits, go, open, slowFfmpeg, test } from "./portal.mjs";
import { assets, browser, end, host, looped, recorded, Server, SIMILAR, similarity } from "./rig.mjs";

let server, poor, chromium, session;

/** Records a meeting of two, of whom anna says the text of `host.wav` and ben gives a tone. */
async function meeting(at, room, ms) {
  await at.command("room", "create", room);
  const people = [await at.join(room, "anna", "--play", join(assets, "host.wav"), "--loop"), await at.join(room, "ben", "--tone", "440")];
  const api = async (method, path, body) => (await fetch(`${at.url}/v1${path}`, { method, headers: { authorization: `Bearer ${at.key()}`, "content-type": "application/json" }, body: body && JSON.stringify(body) })).json();
  let id = null;
  while (id === null) {
    await sleep(100);
    ({ active_session: id } = await api("GET", `/rooms/${room}`));
  }
  await api("PUT", `/sessions/${id}/recording`, { participants: "all" });
  await sleep(ms);
  for (const one of people) await end(one, "SIGINT");
  for (;;) {
    const { data } = await api("GET", `/recordings?session=${id}`);
    if (data.length === 2 && data.every(({ state }) => state === "ready")) return id;
    await sleep(200);
  }
}

before(async () => {
  if (process.env.DIST) return;
  [server, poor, chromium] = await Promise.all([Server.start({ environment: { PARLOUR__COMPOSITIONS__FFMPEG: slowFfmpeg() } }), Server.start({ environment: { PARLOUR__COMPOSITIONS__FFMPEG: "/nowhere/ffmpeg" } }), browser()]);
  session = await meeting(server, "studio", 10_000);
});
after(async () => {
  await chromium?.close();
  for (const one of [server, poor]) {
    await one?.stop();
    one?.network.close();
  }
});

const badge = (page, name) => page.locator(".title .badge", { hasText: name }).waitFor();
const compose = (page) => button(page, "Compose").click();

/** Asks for a composition from the form's page, and waits for the page of it. */
async function make(page, choose) {
  await go(page, `/compositions/new?session=${session}`);
  await choose();
  await compose(page);
  await page.locator('#main[data-page^="#/compositions/cmp_"] h1').waitFor();
}

/** Plays what the page has, and keeps the sound of one of its channels. */
async function heard(page, channel, ms) {
  await page.evaluate(async (channel) => {
    const media = document.querySelector("audio, video"), context = new AudioContext({ sampleRate: 48_000 }), split = context.createChannelSplitter(2), one = context.createGain();
    context.createMediaElementSource(media).connect(split);
    split.connect(one, channel);
    one.connect(context.destination);
    while (!window.taps.played) await new Promise((resolve) => { setTimeout(resolve, 20); });
    media.currentTime = 0;
    await media.play();
  }, channel);
  await recorded(page, "played");
  await sleep(ms);
  return recorded(page, "played");
}

test("a session is composed: from its page, by the form, to a file that is heard and fetched", { timeout: 120_000 }, async () => {
  const page = await open(chromium, server, `/sessions/${session}`, { records: true });
  await page.getByText("Nothing is composed of this session yet.").waitFor();
  await page.getByRole("link", { name: "New composition" }).click();
  await page.locator(`#main[data-page="#/compositions/new?session=${session}"]`).waitFor();
  await page.getByLabel("Format", { exact: true }).selectOption("ogg");
  assert.equal(await page.getByLabel("Width (pixels)").isVisible(), false, "sound has no picture");
  // What the API checks stands at its field.
  await page.getByLabel("Sound", { exact: true }).selectOption("dual");
  await compose(page);
  await page.locator("fieldset", { hasText: "On the right" }).getByText("it cannot be the rest of a rest").waitFor();
  await page.locator("fieldset", { hasText: "On the left" }).getByLabel("anna").check();
  await page.getByLabel("Begins at", { exact: true }).fill("half past");
  await compose(page);
  await page.locator(".field", { hasText: "Begins at" }).getByText("Write it as minutes:seconds").waitFor();
  assert.equal(await page.getByLabel("Begins at", { exact: true }).getAttribute("aria-invalid"), "true");
  await page.getByLabel("Begins at", { exact: true }).fill("0:09");
  await page.getByLabel("Ends at", { exact: true }).fill("0:08");
  await compose(page);
  await page.locator(".field", { hasText: "Ends at" }).getByText("it is not behind").waitFor();
  await accessible(page, "form with a problem");
  await page.getByLabel("Begins at", { exact: true }).fill("");
  await page.getByLabel("Ends at", { exact: true }).fill("");
  await compose(page);
  await badge(page, "Ready");
  await page.getByText("Left: anna · right: everybody else").waitFor();
  await page.locator(".wave .played path").waitFor({ state: "attached" });
  await accessible(page, "composition");
  // Anna is on the left, and ben is not.
  const similar = similarity(looped(host, 3), await heard(page, 0, 7_000), 1, 6);
  console.log(`heard on the left: ${similar.toFixed(3)}`);
  assert.ok(similar >= SIMILAR, `${similar}`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.match(download.suggestedFilename(), /^cmp_.*\.ogg$/);
  assert.equal(readFileSync(await download.path()).subarray(0, 4).toString(), "OggS");
  // The same by the command that the page shows.
  await page.locator("#how summary").click();
  const line = await page.locator("#how code", { hasText: "parlour composition get" }).first().textContent();
  assert.equal(JSON.parse(await server.command(...line.split(" ").slice(1), "--output", "json")).audio.left[0], "anna");
  await page.locator("#how code", { hasText: "parlour composition download" }).waitFor();
  await page.locator("#how code", { hasText: "curl" }).filter({ hasText: "-OJ" }).waitFor();
  // Deleted, and the session's page has the rest.
  const other = await open(chromium, server, `/sessions/${session}`);
  await other.getByRole("region", { name: "Compositions" }).locator("tbody tr").waitFor();
  await button(page, "Delete").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator('#main[data-page="#/compositions"]').waitFor();
  await page.getByText("No compositions yet").waitFor();
  await other.getByText("Nothing is composed of this session yet.").waitFor();
  page.complaints = page.complaints.filter((text) => !text.includes("422"));
  await close(page, other);
});

test("a picture is composed: its progress is seen, one that waits is cancelled and made again", { timeout: 120_000 }, async () => {
  const [page, list] = [await open(chromium, server, "/compositions/new"), await open(chromium, server, "/compositions")];
  await page.locator("tbody tr", { hasText: "studio" }).getByRole("link").first().click();
  await page.locator(`#main[data-page="#/compositions/new?session=${session}"]`).waitFor();
  const choose = async () => {
    await page.getByLabel("Format", { exact: true }).selectOption("mp4");
    await page.getByLabel("Picture", { exact: true }).selectOption("regions");
    await page.getByLabel("Width (pixels)").fill("641");
    await page.getByLabel("Height (pixels)").fill("360");
    await page.getByLabel("Pictures a second").fill("10");
    await page.getByLabel("Who stands where").fill("0 0 320 360 anna\n320 0 320 360 rest");
    await page.getByLabel("Begins at", { exact: true }).fill("0:01");
  };
  await choose();
  assert.deepEqual(await page.locator(".picture text").allTextContents(), ["anna", "ben"]);
  await accessible(page, "form of a picture");
  await compose(page);
  await page.locator(".field", { hasText: "Width (pixels)" }).locator(".problem:not(:empty)").waitFor();
  // The command that the page shows does the same.
  const line = await page.locator("#how code", { hasText: "parlour composition create" }).textContent();
  const words = line.replaceAll("641", "640").match(/'[^']*'|\S+/g).map((word) => word.replaceAll("'", "")).slice(1);
  const commanded = JSON.parse(await server.command(...words, "--output", "json"));
  assert.deepEqual([commanded.from_ms, commanded.format, commanded.video.width, commanded.video.regions[1].sources], [1_000, "mp4", 640, "rest"]);
  await server.command("composition", "delete", commanded.id, "--yes");
  await page.getByLabel("Width (pixels)").fill("640");
  await page.getByLabel("Who stands where").fill("0 0 320 360 anna\n600 0 320 360 rest");
  await compose(page);
  await page.locator(".field", { hasText: "Who stands where" }).locator(".problem:not(:empty)").waitFor();
  await page.getByLabel("Who stands where").fill("0 0 320 360 anna\n320 0 three");
  await compose(page);
  await page.getByText("Line 2 is not four numbers and then who.").waitFor();
  await page.getByLabel("Who stands where").fill("0 0 320 360 anna, carl\n320 0 320 360 rest");
  await compose(page);
  await page.getByText("Line 1: carl was not in this session.").waitFor();
  await make(page, async () => {
    await choose();
    await page.getByLabel("Width (pixels)").fill("640");
  });
  // Those who look at the list see it, too.
  const far = list.locator("tbody progress");
  await far.waitFor();
  await page.waitForFunction(() => Number(document.querySelector("progress")?.value) >= 10);
  const at = await page.locator("progress").evaluate((bar) => bar.value);
  assert.ok(at < 100, `${at}`);
  await accessible(page, "under way");
  await list.waitForFunction((at) => Number(document.querySelector("progress")?.value) >= at, at);
  const second = await open(chromium, server, "/compositions/new");
  await make(second, async () => second.getByLabel("Format", { exact: true }).selectOption("wav"));
  await badge(second, "Waiting");
  await button(second, "Cancel").click();
  await badge(second, "Cancelled");
  assert.equal(await button(second, "Cancel").isVisible(), false);
  await list.locator("tbody tr", { hasText: "Cancelled" }).waitFor();
  await badge(page, "Ready");
  await list.locator("tbody tr", { hasText: "Ready" }).waitFor();
  const shown = await page.locator("video").evaluate(async (video) => {
    video.muted = true;
    await video.play();
    while (video.currentTime <= .3 && !video.error) await new Promise((resolve) => { setTimeout(resolve, 50); });
    return { width: video.videoWidth, height: video.videoHeight, error: video.error?.message };
  });
  assert.deepEqual({ width: shown.width, height: shown.height, error: shown.error }, { width: 640, height: 360, error: undefined });
  await page.locator(".wave .played path").waitFor({ state: "attached" });
  await accessible(page, "video");
  // What was cancelled is made again, with the same format.
  const former = new URL(second.url()).hash;
  await button(second, "Make it again").click();
  await second.waitForFunction((former) => location.hash !== former, former);
  await badge(second, "Ready");
  await second.getByText("Sound, WAV").waitFor();
  // Deleted elsewhere: the page leaves what is not there any more, whether it is told or not.
  const gone = await open(chromium, server, new URL(second.url()).hash.slice(1));
  await gone.route("**/v1/events/stream*", (route) => route.abort());
  await gone.reload();
  await badge(gone, "Ready");
  const id = new URL(second.url()).hash.split("/").at(-1);
  await server.command("composition", "delete", id, "--yes");
  await second.locator('#main[data-page="#/compositions"]').waitFor();
  await gone.unroute("**/v1/events/stream*");
  await gone.locator('#main[data-page="#/compositions"]').waitFor();
  gone.complaints = [];
  await close(gone);
  page.complaints = page.complaints.filter((text) => !text.includes("422"));
  await close(page, list, second);
});

test("who speaks when is seen in lanes, and each time is reached by a click and by keys", { timeout: 90_000 }, async () => {
  const get = async (path) => (await fetch(`${server.url}/v1${path}`, { headers: { authorization: `Bearer ${server.key()}` } })).json();
  const id = (await server.command("composition", "create", session, "--format", "wav", "--from", "1s", "--to", "9s", "--output", "id")).trim();
  const page = await open(chromium, server, `/compositions/${id}`);
  await badge(page, "Ready");
  const lanes = page.getByRole("group", { name: "Who speaks when" }).getByRole("button");
  await lanes.nth(1).waitFor();
  const { data } = await get(`/compositions/${id}/marks`);
  assert.deepEqual(data.map(({ participant, complete }) => [participant, complete]).toSorted(), [["anna", true], ["ben", true]]);
  // The tone goes on, and the host makes pauses.
  const [anna, ben] = ["anna", "ben"].map((who) => data.find(({ participant }) => participant === who).speech);
  assert.deepEqual([ben.length, ben[0].from_ms], [1, 0], JSON.stringify(ben));
  assert.ok(ben[0].to_ms > 7_500 && anna.length > 0 && anna.every(({ from_ms, to_ms }) => 0 <= from_ms && from_ms < to_ms && to_ms <= 8_000), JSON.stringify(data));
  const wave = await page.getByRole("slider", { name: "Place in it" }).boundingBox();
  for (const [n, { participant, speech }] of data.entries()) {
    const lane = lanes.nth(n), box = await lane.boundingBox();
    assert.match(await lane.getAttribute("aria-label"), new RegExp(`^${participant} speaks (once|${speech.length} times)`));
    assert.ok(Math.abs(box.x - wave.x) <= 2 && Math.abs(box.width - wave.width) <= 4, "as long as the waveform");
    const drawn = await lane.locator("path").getAttribute("d");
    assert.equal(drawn, speech.map(({ from_ms, to_ms }) => `M${from_ms} 0h${Math.max(to_ms - from_ms, 16)}v1H${from_ms}z`).join(""));
    assert.equal(await lane.locator("svg").getAttribute("viewBox"), "0 0 8000 1");
  }
  const at = () => page.locator("audio").evaluate((audio) => audio.currentTime);
  const near = async (wanted) => assert.ok(Math.abs(await at() - wanted) < .2, `${await at()} is not ${wanted}`);
  await page.waitForFunction(() => document.querySelector("audio").readyState > 0);
  const { width, height } = await lanes.first().boundingBox();
  await lanes.first().click({ position: { x: width * 3 / 4, y: height / 2 } });
  await near(6);
  // A key leads to the next time, and from the last one to the first.
  const spoken = lanes.nth(data.findIndex(({ participant }) => participant === "anna"));
  await page.getByRole("slider", { name: "Place in it" }).press("End");
  for (const { from_ms } of [...anna, anna[0]]) {
    await spoken.press("Enter");
    await near(from_ms / 1_000);
  }
  await accessible(page, "lanes");
  await page.locator("#how code", { hasText: `parlour composition marks ${id}` }).waitFor({ state: "attached" });
  await server.command("composition", "marks", id);
  // The session's page has the same on its clock, and in words.
  await go(page, `/sessions/${session}`);
  await page.locator(".timeline .track .speech").nth(1).waitFor();
  const ofSession = (await get(`/sessions/${session}/marks`)).data.find(({ participant }) => participant === "ben").speech;
  const drawn = await page.locator(".timeline li", { hasText: "ben" }).locator("path").getAttribute("d");
  assert.ok(drawn.startsWith(`M${ofSession[0].from_ms} 0h`), drawn);
  await page.locator('td[data-name="Spoke"]', { hasText: "s" }).first().waitFor();
  await page.locator(".legend", { hasText: "Who speaks when" }).waitFor();
  await accessible(page, "speech in a session");
  await server.command("composition", "delete", id, "--yes");
  // What is not known is said: of recordings that an older version has made, and of what nobody recorded.
  await page.route("**/v1/*/*/marks", async (route) => {
    const response = await route.fetch(), { data, ...rest } = await response.json();
    await route.fulfill({ response, json: { ...rest, data: data.map((lane) => ({ ...lane, speech: [], complete: false })) } });
  });
  const { data: [recording] } = await get(`/recordings?session=${session}&participant=anna`);
  await go(page, `/recordings/${recording.id}`);
  await page.getByText("Not all of it is known").waitFor();
  await page.unroute("**/v1/*/*/marks");
  await page.route("**/v1/sessions/*/marks", (route) => route.fulfill({ json: { data: [], next_cursor: null } }));
  await go(page, `/sessions/${session}`);
  await page.getByText("Only recordings tell who speaks.").waitFor();
  assert.equal(await page.locator('td[data-name="Spoke"]').count(), 0);
  await close(page);
});

test("many compositions are deleted at once, after their number was told", { timeout: 90_000 }, async () => {
  const make = async (...more) => (await server.command("composition", "create", session, "--format", "wav", ...more, "--output", "id")).trim();
  const page = await open(chromium, server, "/compositions?room=studio");
  const before = await page.locator("tbody tr").count();
  for (let n = 0; n < 2; n++) await make();
  const failed = await make("--from", "1h");
  await page.waitForFunction((count) => [...document.querySelectorAll("tbody tr")].filter((row) => /Ready|Failed|Cancelled/.test(row.textContent)).length === count, before + 3);
  await go(page, "/compositions?room=studio&state=failed");
  await page.locator("tbody tr").waitFor();
  await button(page, "Delete all of these").click();
  await page.getByRole("dialog").getByText("One of them, with 0 B, is deleted").waitFor();
  await accessible(page, "bulk deletion");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nothing matches the filter").waitFor();
  assert.equal(await button(page, "Delete all of these").isVisible(), false);
  await page.locator("#how code", { hasText: "parlour composition delete-many" }).waitFor({ state: "attached" });
  await go(page, "/compositions?room=studio");
  await button(page, "Delete all of these").click();
  await page.getByRole("dialog").getByText(`${before + 2} of them, with`).waitFor();
  // Meanwhile there is one more, which nobody was told of.
  await make();
  await page.waitForFunction((count) => [...document.querySelectorAll("tbody tr")].filter((row) => /Ready|Failed|Cancelled/.test(row.textContent)).length === count, before + 3);
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByText(`${before + 3} match, not ${before + 2} as expected`).waitFor();
  page.complaints = page.complaints.filter((text) => !text.includes("409"));
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await button(page, "Delete all of these").click();
  await page.getByRole("dialog").getByText(`${before + 3} of them, with`).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nothing matches the filter").waitFor();
  assert.ok(failed);
  await close(page);
});

test("what had begun when it was cancelled is made again as it was asked for", { timeout: 60_000 }, async () => {
  const id = (await server.command("composition", "create", session, "--format", "mp4", "--output", "id")).trim();
  const page = await open(chromium, server, `/compositions/${id}`);
  await badge(page, "Being composed");
  await button(page, "Cancel").click();
  await badge(page, "Cancelled");
  const known = async (id) => JSON.parse(await server.command("composition", "get", id, "--output", "json"));
  assert.notEqual((await known(id)).to_ms, null, "it knows by then where it ends");
  await page.getByText("All that is recorded").waitFor();
  await button(page, "Make it again").click();
  await page.waitForFunction((id) => location.hash.includes("cmp_") && !location.hash.endsWith(id), id);
  const again = await known(new URL(page.url()).hash.split("/").at(-1));
  assert.deepEqual(again.asked, { from_ms: null, to_ms: null });
  await server.command("composition", "delete", again.id, "--yes");
  await page.locator('#main[data-page="#/compositions"]').waitFor();
  await close(page);
});

test("every place of a recording is reached by a click and by keys", { timeout: 60_000 }, async () => {
  const page = await open(chromium, server, `/recordings?session=${session}&participant=anna`);
  await page.locator("tbody a").first().click();
  const wave = page.getByRole("slider", { name: "Place in it" });
  await page.locator(".wave .played path").waitFor({ state: "attached" });
  const [, length] = await page.locator("audio").evaluate(async (audio) => {
    if (audio.readyState < 1) await new Promise((resolve) => { audio.onloadedmetadata = resolve; });
    return [audio.muted = true, audio.duration];
  });
  const at = () => page.locator("audio").evaluate((audio) => audio.currentTime);
  const near = async (wanted) => assert.ok(Math.abs(await at() - wanted) < .2, `${await at()} is not ${wanted}`);
  const { width, height } = await wave.boundingBox();
  await wave.click({ position: { x: width / 2, y: height / 2 } });
  await near(length / 2);
  await page.keyboard.press("Home");
  await near(0);
  await page.keyboard.press("ArrowRight");
  await near(5);
  assert.equal(await wave.getAttribute("aria-valuenow"), "5");
  assert.match(await wave.getAttribute("aria-valuetext"), /^5 s of \d+ s$/);
  await page.keyboard.press("ArrowLeft");
  await near(0);
  await page.keyboard.press("End");
  await near(length);
  // The host speaks with pauses: some bars are high, and some are not.
  const heights = await page.locator(".wave .played path").evaluate((path) => [...path.getAttribute("d").matchAll(/v([\d.]+)h-/g)].map(([, high]) => Number(high)));
  assert.equal(Math.max(...heights), 2);
  assert.ok(heights.filter((high) => high < .3).length > 10, `${heights}`);
  await accessible(page, "player");
  await close(page);
  // What is too long to be decoded has no waveform, and says so.
  const long = await open(chromium, server, "/");
  await long.route("**/v1/recordings/rec_*", async (route) => {
    const response = await route.fetch();
    return route.fulfill({ response, json: { ...await response.json(), duration_ms: 3_600_000 } });
  });
  await go(long, `/recordings?session=${session}`);
  await long.locator("tbody a").first().click();
  await long.getByText("Longer than 10 minutes").waitFor();
  assert.equal(await long.locator(".wave path").count(), 0);
  await long.locator(".wave").click();
  await close(long);
});

test("a page that is left before it is there asks for nothing more", { timeout: 60_000 }, async () => {
  const page = await open(chromium, server, "/");
  let asked = 0, answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await page.route("**/v1/compositions?*", async (route) => {
    asked++;
    await held;
    await route.continue().catch(() => undefined);
  });
  await page.evaluate(() => { location.hash = "/compositions"; });
  while (asked === 0) await sleep(20);
  await go(page, "/keys");
  answer();
  // A list asks again every two seconds.
  await sleep(3_000);
  assert.equal(asked, 1);
  await close(page);
});

test("a server without ffmpeg says so at the format, and composes sound", { timeout: 60_000 }, async () => {
  const own = await meeting(poor, "attic", 2_000);
  const page = await open(chromium, poor, `/compositions/new?session=${own}`);
  await page.getByLabel("Format", { exact: true }).selectOption("mp4");
  await compose(page);
  await page.locator(".field", { hasText: "Format" }).getByText("This server has no ffmpeg").waitFor();
  assert.equal(await page.getByLabel("Format", { exact: true }).getAttribute("aria-invalid"), "true");
  await page.getByLabel("Format", { exact: true }).selectOption("wav");
  await compose(page);
  await badge(page, "Ready");
  page.complaints = page.complaints.filter((text) => !text.includes("409"));
  await close(page);
});

test("what is composed fits a phone, in German", { timeout: 60_000 }, async () => {
  const id = (await server.command("composition", "create", session, "--format", "ogg", "--output", "id")).trim();
  const page = await open(chromium, server, `/compositions/${id}`, { locale: "de-DE", viewport: { width: 360, height: 740 } });
  await badge(page, "Fertig");
  await fits(page, "composition");
  await accessible(page, "composition");
  await go(page, "/compositions");
  // So does one under way: the page is in the list before that begins, so that it cannot be over when it is looked for.
  await page.locator("tbody tr").first().waitFor();
  const slow = (await server.command("composition", "create", session, "--format", "mp4", "--output", "id")).trim();
  await page.locator("tbody progress").waitFor();
  await fits(page, "compositions");
  await server.command("composition", "delete", slow, "--yes");
  await go(page, `/compositions/new?session=${session}`);
  await page.getByLabel("Format", { exact: true }).selectOption("webm");
  await page.getByLabel("Bild", { exact: true }).selectOption("regions");
  await page.getByLabel("Ton", { exact: true }).selectOption("dual");
  await fits(page, "form");
  await accessible(page, "form");
  await close(page);
});
