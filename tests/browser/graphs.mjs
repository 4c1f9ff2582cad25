// graphs.mjs - small graphs that the tests open: none takes longer than a moment to run.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.env.TUBELET_ROOT ?? resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** A Lua file whose build function has these lines. */
export const graph = (lines) =>
  `local tb = require "tubelet"\n\nreturn tb.graph {\n  build = function()\n${lines.replace(/^/gm, '    ')}\n  end,\n}\n`;

/** A latent, of which a part is saved, beside nodes that nothing reads. */
export const latents = graph(`local part = tb.latent_slice { latent = tb.empty_latent {}, start = 0, count = 1 }
tb.constant_string { value = "words" }
tb.constant_int { value = 1 }
tb.latent_blend { a = part, b = part }
return tb.save_tensor { value = part, path = "part.safetensors" }`);

/** The example of the project. */
export const textToVideo = readFileSync(join(root, 'graphs/text_to_video.lua'), 'utf8');

/** The same, with defaults that take a second. */
export const quickVideo = textToVideo
  .replace('default = 20, min = 1', 'default = 4, min = 1')
  .replace('default = "64x64"', 'default = "32x32"')
  .replace('default = 17', 'default = 5');

/** Runs until it is interrupted, as far as a test can tell. */
export const slowVideo = textToVideo.replace('default = 20, min = 1', 'default = 400, min = 1');

/** As many nodes, in rows of ten that are linked: the API format, with places. */
export function largeGraph(count) {
  const place = (i) => [(i % 10) * 300, Math.floor(i / 10) * 220];
  const nodes = Array.from({ length: count }, (_, i) => {
    const _meta = { title: `node ${i}`, pos: place(i) };
    if (i % 10 === 0) return [String(i), { class_type: 'empty_latent', inputs: { frames: 5 }, _meta }];
    if (i % 10 === 9) return [String(i), { class_type: 'save_tensor', inputs: { value: [String(i - 1), 0], path: `${i}.safetensors` }, _meta }];
    return [String(i), { class_type: 'latent_slice', inputs: { latent: [String(i - 1), 0], start: 0, count: 0 }, _meta }];
  });
  return Object.fromEntries(nodes);
}
