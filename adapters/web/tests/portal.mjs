// What the tests of the portal have in common: its pages, and what each of them has to be like.
import assert from "node:assert/strict";
import { test as run } from "node:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { folder, visit } from "./rig.mjs";

/** The portal is part of the server. With another package there is nothing to find here. */
export const test = process.env.DIST ? run.skip : run;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A page of the portal that has been read. */
export async function open(chromium, server, page, options = {}) {
  const shown = await visit(chromium, `${server.url}/portal/#${page}`, options);
  await shown.locator("#main[data-page] h1").waitFor();
  return shown;
}

/** Leads to another page, and waits for it. */
export async function go(page, to) {
  await page.evaluate((to) => { location.hash = to; }, to);
  await page.locator(`#main[data-page="#${to}"] h1`).waitFor();
}

/** Ends pages that have to have complained of nothing. */
export async function close(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
}

export const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Fails if axe finds something on what the page shows now, in either scheme. */
export async function accessible(page, what) {
  await page.evaluate(`${axe}; undefined`);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const { violations, passes } = await page.evaluate(() => window.axe.run(document));
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), [], `${what}, ${colorScheme}`);
    assert.ok(passes.length > 10);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** An ffmpeg that takes what it is given no faster than it lasts, so that it can be seen at work. */
export function slowFfmpeg() {
  const path = join(folder, "ffmpeg-slow");
  writeFileSync(path, '#!/bin/sh\ncase "$*" in *libx264*) exec ffmpeg -re "$@" ;; esac\nexec ffmpeg "$@"\n');
  chmodSync(path, 0o755);
  return path;
}

/** Fails if the page is wider than the window. */
export async function fits(page, what) {
  const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth }));
  assert.ok(scroll <= width, `${what} is wider than a phone: ${scroll} > ${width}`);
}
