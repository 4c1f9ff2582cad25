// bench_editor.mjs - what the editor costs: bytes sent, time until it can be used, frames a second with 300 nodes.
//
//     node tests/bench/bench_editor.mjs [RUNS]
//
// Run by hand, with a release build, on a machine that does nothing else. tests/test_browser.sh has to have run once:
// this works from the folder it fills. Frames are those that requestAnimationFrame is given while the mouse moves;
// headless Chromium without a GPU draws them, at 60 a second at most. Each figure is the median of RUNS (5).
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const build = process.env.TUBELET_BIN ? dirname(process.env.TUBELET_BIN) : join(root, 'build/release');
const modules = join(build, 'browser_tests');
if (!existsSync(join(modules, 'harness.mjs'))) {
  console.error(`There is no ${modules}; run TUBELET_BIN=${build}/tubelet bash tests/test_browser.sh first.`);
  process.exit(1);
}
process.env.TUBELET_ROOT ??= root;
process.env.TUBELET_BIN ??= join(build, 'tubelet');
const from = (name) => import(pathToFileURL(join(modules, name)).href);
const { Server, frames, launch } = await from('harness.mjs');
const { Editor, center } = await from('editor.mjs');
const { largeGraph, textToVideo } = await from('graphs.mjs');

const runs = Number(process.argv[2] ?? 5);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const server = new Server();
server.write('text_to_video.lua', textToVideo);
server.write('large.json', JSON.stringify(largeGraph(300)));
await server.start();
const browser = await launch();

/** A page of its own, and the seconds until the nodes of the graph are drawn and the view stands. */
async function open(graph) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
  const page = await context.newPage();
  const start = performance.now();
  await page.goto(`${server.url}#graphs/${graph}`);
  const editor = new Editor(page);
  await editor.canvas.getByRole('group').first().waitFor();
  const seconds = (performance.now() - start) / 1000;
  await editor.opened(graph);
  return { context, page, editor, seconds };
}

async function moved(page, from, button, distance) {
  await page.mouse.move(from.x, from.y);
  await page.mouse.down({ button });
  for (let i = 0; i < 120; i++) await page.mouse.move(from.x + (distance * i) / 120, from.y + (distance * i) / 240);
  await page.mouse.up({ button });
}

async function rates() {
  const { context, page, editor, seconds } = await open('large.json');
  const pan = await frames(page, async () => moved(page, await editor.emptySpot(), 'middle', 300));
  const overview = await frames(page, async () => {
    const at = await center(editor.node('node 7').first());
    await moved(page, at, 'left', 120);
  });
  await editor.press('Control+a');
  const all = await frames(page, async () => moved(page, await center(editor.node('node 7').first()), 'left', 120));
  await editor.press('.');
  await editor.settled();
  await editor.clear();
  for (let i = 0; i < 6; i++) await editor.press('Alt+=');
  await editor.settled();
  const close = await frames(page, async () => moved(page, await editor.emptySpot(), 'middle', 300));
  await context.close();
  return { 'first node of 300, s': seconds, 'pan, all 300 in view, fps': pan, 'drag a node, all 300 in view, fps': overview, 'drag all 300, fps': all, 'pan, near, fps': close };
}

for (const name of ['app.js', 'index.css', 'index.html']) {
  const file = join(build, 'web/out', name);
  console.log(`${name}: ${statSync(file).size} bytes, ${statSync(`${file}.gz`).size} compressed`);
}
const first = [];
const all = [];
for (let i = 0; i < runs; i++) {
  const small = await open('text_to_video.lua');
  first.push(small.seconds);
  await small.context.close();
  all.push(await rates());
}
console.log(`first node of text_to_video.lua: ${median(first).toFixed(2)} s`);
for (const name of Object.keys(all[0])) console.log(`${name}: ${median(all.map((each) => each[name])).toFixed(2)}`);
await browser.close();
await server.remove();
