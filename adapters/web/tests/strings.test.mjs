// What the page says: the same in each language, and something for each error that can come.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { strings } from "../page/strings.js";
import { strings as german } from "../portal/strings.de.js";
import { strings as english } from "../portal/strings.en.js";
import { qr } from "./qr.mjs";

const folder = join(import.meta.dirname, "../page");
const files = readdirSync(folder).filter((name) => /\.(js|html)$/.test(name));
const source = files.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");

/** Keys with the values that their texts have a place for. */
function keys(texts, at = "") {
  const places = (text) => (text.match(/\{\w+\}/g) ?? []).filter((name) => name !== "{count}").sort();
  return Object.entries(texts).flatMap(([key, value]) => (
    typeof value === "string" ? [`${at}${key} ${places(value)}`] : keys(value, `${at}${key}.`)
  )).sort();
}

test("each language has the same keys, with places for the same values", () => {
  assert.deepEqual(keys(strings.de), keys(strings.en));
  assert.ok(keys(strings.en).length > 100);
});

test("the portal says the same in each language, and names no text that is missing", () => {
  assert.deepEqual(keys(german), keys(english));
  const portal = join(import.meta.dirname, "../portal");
  const files = readdirSync(portal).filter((name) => /\.(js|html)$/.test(name) && name !== "uqr.js");
  const source = files.map((name) => readFileSync(join(portal, name), "utf8")).join("\n");
  const named = [...source.matchAll(/(?:\btext\(|data-(?:text|label)=)["']([a-z]+(?:\.\w+)+)["']/gi)].map(([, key]) => key);
  assert.ok(named.length > 250, `${named.length}`);
  for (const key of named) {
    assert.ok(key.split(".").reduce((texts, part) => texts?.[part], english) !== undefined, `there is no text ${key}`);
  }
});

test("the portal's code for QR codes is that of the package", async () => {
  assert.equal(readFileSync(join(import.meta.dirname, "../portal/uqr.js"), "utf8"), await qr());
});

test("every text that the page names is there", () => {
  const named = [...source.matchAll(/(?:\btext\(|data-(?:text|label)=)["']([a-z]+(?:\.\w+)+)["']/gi)].map(([, key]) => key);
  assert.ok(named.length > 60);
  for (const key of named) {
    assert.ok(key.split(".").reduce((texts, part) => texts?.[part], strings.en) !== undefined, `there is no text ${key}`);
  }
});

test("each problem has words, and each reason of the package to end is a problem", async () => {
  // The page asks the browser for the languages.
  Object.defineProperty(globalThis, "navigator", { value: { languages: ["fr", "de-CH", "en"] }, configurable: true });
  const { names, told } = await import("../page/problems.js");
  const { choose } = await import("../page/text.js");
  assert.deepEqual(names.toSorted(), Object.keys(strings.en.problems).sort());
  assert.equal(told({ code: "kicked" }).title, strings.de.problems.kicked.title);
  assert.equal(choose(["fr"]), "en");
  const types = readFileSync(join(folder, "../dist/errors.d.ts"), "utf8");
  const codes = [...types.matchAll(/"([a-z]\w+)"/g)].map(([, code]) => code);
  // What one cannot come upon by joining, leaving, or being removed; or what says nothing better than its message.
  const requests = [
    "invalidArgument", "closed", "notJoined", "notPermitted", "unknownParticipant", "unknownStream", "alreadyPublished",
    "tooManyStreams", "codecMismatch", "tooManySubscriptions", "tooManyRequests", "rateLimited", "floorTaken", "floorNotHeld",
    "audioFailed", "mixUnavailable", "messageTooLong", "tooManyAttributes", "malformed", "protocolError", "other",
  ];
  const plain = codes.filter((code) => !/^(microphone|camera|screen|encoder|decoder)/.test(code) && told({ code }).name === "other");
  assert.deepEqual(plain.filter((code) => !requests.includes(code)), []);
});
