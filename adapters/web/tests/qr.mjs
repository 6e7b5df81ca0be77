// Makes `portal/uqr.js`: of the package `uqr` what the portal needs, as one small file.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";

const folder = join(import.meta.dirname, "..");

export async function qr() {
  const { version, license } = JSON.parse(readFileSync(join(createRequire(import.meta.url).resolve("uqr"), "../../package.json"), "utf8"));
  const { outputFiles: [made] } = await build({
    stdin: { contents: 'export { encode } from "uqr";', resolveDir: folder }, bundle: true, write: false, format: "esm", target: "es2022", minify: true,
  });
  return `/*! uqr ${version}, ${license}, https://github.com/unjs/uqr: QR codes; made by \`npm run qr\`. */\n${made.text}`;
}

if (process.argv[1] === import.meta.filename) process.stdout.write(await qr());
