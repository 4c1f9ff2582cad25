// run.mjs - bundles every *.test.ts of this folder and runs it under node:test. No browser: what is tested here is
// logic without a page.
//
//   node web/test/run.mjs [--modules DIR]

import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [flag, folder] = process.argv.slice(2);
const modules = flag === "--modules" && folder ? resolve(folder) : join(here, "../node_modules");
const { build } = createRequire(join(modules, "resolve.js"))("esbuild");
const out = await mkdtemp(join(tmpdir(), "tubelet-web-"));
const tests = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));

await build({
  entryPoints: tests.map((name) => join(here, name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node18",
  jsx: "automatic",
  nodePaths: [modules],
  logLevel: "warning",
});
const { status } = spawnSync(process.execPath, ["--test", ...tests.map((name) => join(out, name.replace(/\.ts$/, ".mjs")))], {
  stdio: "inherit",
});
await rm(out, { recursive: true });
process.exit(status ?? 1);
