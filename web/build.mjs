// build.mjs - bundles the editor: app.js, index.css, index.html and licenses.txt.
//
//   node web/build.mjs OUTDIR [--modules DIR] [--watch]
//
// DIR is a node_modules folder somewhere else, as a build folder has it. The same sources and modules give the same
// bytes: names are fixed, and no path, time or source map enters the files.

import { createRequire } from "node:module";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

function usage() {
  console.error("usage: node web/build.mjs OUTDIR [--modules DIR] [--watch]");
  process.exit(2);
}

function parseArguments(args) {
  const options = { outdir: "", modules: join(here, "node_modules"), watch: false };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--modules") options.modules = resolve(args[++i] ?? usage());
    else if (args[i] === "--watch") options.watch = true;
    else if (!options.outdir && !args[i].startsWith("-")) options.outdir = resolve(args[i]);
    else usage();
  }
  if (!options.outdir) usage();
  return options;
}

/** The licence of every package that ended up in the bundle, in the order of their names. */
async function licenses(metafile, modules) {
  const names = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const match = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (match) names.add(match[1]);
  }
  const parts = [];
  for (const name of [...names].sort()) {
    const folder = join(modules, name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    const text = file ? await readFile(join(folder, file), "utf8") : `Licence: ${license}`;
    parts.push(`${name} ${version}\n\n${text.trim()}\n`);
  }
  return parts.join(`\n${"-".repeat(80)}\n\n`);
}

const { outdir, modules, watch } = parseArguments(process.argv.slice(2));
const { context } = createRequire(join(modules, "resolve.js"))("esbuild");

const finish = {
  name: "finish",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length > 0) return;
      await writeFile(join(outdir, "index.html"), await readFile(join(here, "index.html")));
      await writeFile(join(outdir, "licenses.txt"), await licenses(result.metafile, modules));
    });
  },
};

await mkdir(outdir, { recursive: true });
const bundle = await context({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx", index: "src/theme.css" },
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  nodePaths: [modules],
  metafile: true,
  logLevel: "warning",
  plugins: [finish],
});
if (watch) {
  await bundle.watch();
} else {
  await bundle.rebuild().then(
    () => bundle.dispose(),
    () => process.exit(1),
  );
}
