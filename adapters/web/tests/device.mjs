// A device in QEMU, two windows of the room page and a participant of the command line in one room: each hears each of the others.
// It builds firmware, so it is not part of `npm test`: `npm run test:device` needs what examples/firmware/qemu-virt does.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assets, browser, end, looped, recorded, samplesOf, Server, SIMILAR, similarity, visit } from "./rig.mjs";

const directory = join(assets, "../firmware/qemu-virt");
const button = (page, name) => page.getByRole("button", { name, exact: true });
/** Seconds that are compared, and those before them in what is recorded. */
const COMPARED = 4, BEFORE = 1;

/** Samples of 16 kHz, repeated to 48 kHz: loudness is all that is compared. */
const repeated = (pcm) => Int16Array.from({ length: pcm.length * 3 }, (_, n) => pcm[Math.floor(n / 3)]);

/** The firmware, with its console. */
class Device {
  static async start(server, room) {
    const target = "target/riscv32imac-unknown-none-elf/release/parlour-qemu-virt";
    const build = ["+nightly", "build", "--locked", "--release", "-Zbuild-std=core", "--features", "opus-decode"];
    execFileSync("cargo", [...build, "--target", "riscv32imac-unknown-none-elf"], { cwd: directory, stdio: "inherit" });
    const ticket = (await server.ticket(room, "device")).replace("127.0.0.1", "10.0.2.2");
    const device = new Device();
    device.raw = join(server.folder, "heard.raw");
    device.process = spawn("./run", [target, `ticket=${ticket}`, `out=${device.raw}`], { cwd: directory });
    device.told = "";
    device.process.stdout.on("data", (text) => { device.told += text; });
    return device;
  }

  /** Tells it something, and waits for what it answers. */
  async tell(command, answer) {
    const from = this.told.length;
    this.process.stdin.write(`${command}\n`);
    for (let tries = 0; !this.told.slice(from).includes(answer); tries++) {
      assert.ok(tries < 300 && this.process.exitCode === null, `the device says: ${this.told}`);
      await sleep(100);
    }
  }

  /** What it has heard in the last seconds. */
  heard(seconds) {
    const { buffer, byteOffset, length } = readFileSync(this.raw);
    const pcm = new Int16Array(buffer.slice(byteOffset, byteOffset + (length & ~1)));
    return repeated(pcm.subarray(pcm.length - seconds * 16_000));
  }
}

let server, chromium, device;

after(async () => {
  await chromium?.close();
  if (device) await end(device.process);
  await server?.stop();
  server?.network.close();
});

test("a device, two windows and one at the command line hear each other", { timeout: 900_000 }, async () => {
  [server, chromium] = [await Server.start(), await browser()];
  device = await Device.start(server, "kitchen");
  await device.tell("join", "joined");
  const native = await server.native("kitchen", "anna");
  const [link] = /http:\S+\/room\/kitchen#guest=\S+/.exec(server.told);
  const pages = [await visit(chromium, link, { records: true }), await visit(chromium, link, { records: true })];
  for (const page of pages) {
    await button(page, "Join").click();
    await button(page, "Mute").click();
    await page.waitForFunction(() => taps.said && taps.played);
  }
  await pages[0].waitForFunction(() => document.querySelectorAll(".person").length === 4);
  const recording = (name) => samplesOf(readFileSync(join(assets, name)));
  const host = looped(recording("host.wav")), found = {}, turns = [];

  /** One speaks for some seconds. `said` gives what, and the names of those who listen stand beside what they heard. */
  const turn = async (speaker, said) => {
    await sleep(1_500);
    const of = (name) => Promise.all(pages.map((page) => recorded(page, name)));
    await Promise.all([of("said"), of("played")]);
    await sleep((BEFORE + COMPARED + 0.5) * 1_000);
    const atDevice = device.heard(BEFORE + COMPARED), [one, other] = await of("played"), until = Date.now();
    const speech = said(await of("said")), heard = { one, other, device: atDevice };
    turns.push({ speaker, speech, until });
    for (const [listener, pcm] of Object.entries(heard)) {
      if (listener !== speaker) found[`${listener} hears ${speaker}`] = similarity(speech, pcm, BEFORE, BEFORE + COMPARED);
    }
  };
  await turn("anna", () => host);
  await server.command("session", "censor", "kitchen", "anna");
  for (const [n, speaker] of ["one", "other"].entries()) {
    await button(pages[n], "Unmute").click();
    await turn(speaker, (said) => said[n]);
    await button(pages[n], "Mute").click();
  }
  const says = device.tell("talk", "said");
  await turn("device", () => repeated(recording("device.wav")));
  await says;
  const until = Date.now(), atAnna = await native.heard();
  for (const { speaker, speech, until: then } of turns.slice(1)) {
    const from = Math.floor(atAnna.length / 48_000 - (until - then) / 1_000) - COMPARED - 1;
    found[`anna hears ${speaker}`] = similarity(speech, atAnna, from, from + COMPARED);
  }
  console.log(found);
  assert.equal(Object.keys(found).length, 12);
  for (const [who, similar] of Object.entries(found)) assert.ok(similar >= SIMILAR, `${who}: ${similar}`);
});
