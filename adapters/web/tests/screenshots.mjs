// Pictures of the portal for its documentation, with people in rooms: `npm run screenshots`.
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { slowFfmpeg } from "./portal.mjs";
import { assets, browser, end, Server, visit } from "./rig.mjs";

const out = resolve(import.meta.dirname, "../../../docs/portal");
const HOST = join(assets, "host.wav");
mkdirSync(out, { recursive: true });
const [server, chromium] = [await Server.start({ environment: { PARLOUR__COMPOSITIONS__FFMPEG: slowFfmpeg() } }), await browser()];
const key = server.key();
const api = async (method, path, body) => {
  const answer = await fetch(`${server.url}/v1${path}`, { method, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
};
const receiver = createServer((request, response) => {
  request.resume();
  response.writeHead(request.url === "/crm" ? 503 : 204).end(request.url === "/crm" ? "upstream is restarting" : "");
}).listen(0, "127.0.0.1");
await once(receiver, "listening");
const hooks = `http://127.0.0.1:${receiver.address().port}`;

for (const [name, title, more] of [["kitchen", "Kitchen", {}], ["green-room", "Green room, for speakers", { max_participants: 12, lobby: true }], ["standup", "Daily stand-up", { max_session_s: 900, recording: { mode: "audio" } }], ["nursery", "Baby phone", {}], ["archive", "", { state: "disabled" }]]) {
  await api("POST", "/rooms", { name, ...(title && { title }), ...more });
}
const { id: webhook } = await api("POST", "/webhooks", { url: `${hooks}/crm`, events: ["participant.joined", "participant.left"] });
await api("POST", "/webhooks", { url: `${hooks}/stats` });
await api("POST", "/keys", { id: "backend", scopes: ["tokens", "read"] });
await api("POST", "/keys", { id: "dashboard", scopes: ["read"] });
await api("DELETE", "/keys/dashboard");
await api("PUT", "/admins/anna", { password: "correct horse battery" });
await api("PUT", "/rooms/kitchen/bans/loud-guest", { reason: "shouts" });
const invited = async (room, participant, name, grants, ...options) => server.joinBy((await api("POST", `/rooms/${room}/tokens`, { participant, name, grants })).ticket, ...options);
const all = ["participant"];
// A meeting that is over, with people who came and went.
const former = [await invited("standup", "mia", "Mia", all, "--play", HOST, "--loop"), await invited("standup", "noah", "Noah", all, "--tone", "330")];
await sleep(4_000);
former.push(await invited("standup", "lea", "Lea", ["subscribe"]));
await sleep(3_000);
await end(former[1], "SIGINT");
await sleep(2_000);
for (const one of former) await end(one, "SIGINT");
const people = [
  await invited("kitchen", "anna", "Anna", all, "--play", HOST, "--loop"), await invited("kitchen", "ben", "Ben", all, "--tone", "440"),
  await invited("kitchen", "carla", "Carla", ["subscribe"]), await invited("green-room", "dora", "Dora", all), await invited("green-room", "emil", "", all),
];
await sleep(2_500);
await api("POST", "/rooms/kitchen/tokens", { participant: "late" });
const { active_session: session } = await api("GET", "/rooms/kitchen");
await api("POST", `/sessions/${session}/censor`, { participants: ["ben"] });
await api("PUT", `/sessions/${session}/recording`, { participants: "all" });
const [{ id: past }] = (await api("GET", "/sessions?room=standup")).data;
await sleep(12_000);
const [{ id: recording }] = (await api("GET", "/recordings?room=standup&participant=mia")).data;
const compose = (format, more) => api("POST", "/compositions", { session: past, format, ...more });
const { id: failed } = await compose("ogg", { from_ms: 600_000 });
await compose("wav", { audio: { mode: "tracks" } });
const { id: mixed } = await compose("ogg", { audio: { mode: "dual", left: ["mia"], right: "rest" } });
const { id: film } = await compose("mp4", { video: { layout: "speaker" } });
while ((await api("GET", "/compositions?state=queued&state=running")).data.length) await sleep(500);
/** The one that is seen at work. */
let long = null;

/** Pages, and what is done before the picture. */
const pages = {
  "overview": ["/"],
  "rooms": ["/rooms"],
  "room": ["/rooms/kitchen"],
  "lobby": ["/rooms/green-room"],
  "invite": ["/rooms/kitchen/invite", async (page) => {
    await page.getByRole("button", { name: "Make a link" }).click();
    await page.getByLabel("Participant’s id").fill("frida");
    await page.getByRole("button", { name: "Make a ticket" }).click();
    await page.locator("svg.qr").nth(1).waitFor();
  }],
  "settings": ["/rooms/green-room/settings"],
  "bans": ["/rooms/kitchen/bans"],
  "sessions": ["/sessions"],
  "session": [`/sessions/${past}`],
  "participants": ["/participants"],
  "recordings": ["/recordings"],
  "recording": [`/recordings/${recording}`],
  "compositions": ["/compositions", async (page) => {
    if (long) await api("DELETE", `/compositions/${long}`);
    ({ id: long } = await compose("mp4"));
    await page.waitForFunction((id) => Number(document.querySelector(`tr:has(a[href$="${id}"]) progress`)?.value) > 20, long);
  }],
  "composition": [`/compositions/${mixed}`],
  "composition-video": [`/compositions/${film}`],
  "composition-failed": [`/compositions/${failed}`],
  "compose": [`/compositions/new?session=${past}`, async (page) => {
    await page.getByLabel("Format", { exact: true }).selectOption("mp4");
    await page.getByLabel("Picture", { exact: true }).selectOption("speaker");
  }],
  "webhooks": ["/webhooks"],
  "webhook": [`/webhooks/${webhook}`],
  "events": ["/events"],
  "keys": ["/keys"],
  "audit": ["/audit"],
  "server": ["/server", async (page) => page.locator("#how summary").click()],
};
for (const [kind, options] of Object.entries({
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", deviceScaleFactor: 1.5 },
})) {
  for (const [name, [path, prepare]] of Object.entries(pages)) {
    const page = await visit(chromium, `${server.url}/portal/#${path}`, { ...options, reducedMotion: "reduce" });
    await page.locator("#main[data-page] h1").waitFor();
    await sleep(1_200);
    await prepare?.(page);
    await page.locator(".toast").waitFor({ state: "detached" });
    if (name !== "server") await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: join(out, `${name}-${kind}.png`), fullPage: kind === "phone" });
    await page.context().close();
  }
}
for (const one of people) await end(one);
await chromium.close();
await server.stop();
server.network.close();
receiver.close();
