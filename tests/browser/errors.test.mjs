// errors.test.mjs - what goes wrong is told where it is: at the node, and at its line of the script.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { graph } from './graphs.mjs';
import { workbench } from './harness.mjs';

const broken = graph('return tb.save_tensor { value = tb.empty_latent { frames = nothing.here }, path = "x.safetensors" }');
const missing = graph(`local picture = tb.load_image { path = "not_there.png" }
return tb.save_image { images = tb.image_resize { image = picture, width = 32, height = 32 }, path = "x.png" }`);

const failing = `local tb = require "tubelet"

tb.node {
  name = "picky",
  doc = "Never content.",
  inputs = { latent = tb.port("LATENT", { doc = "Any." }) },
  outputs = { latent = "LATENT" },
  run = function(_, inp)
    error("this latent is not good enough")
  end,
}

return tb.graph {
  build = function()
    local judged = tb.picky { latent = tb.empty_latent {} }
    return tb.save_tensor { value = tb.latent_slice { latent = judged }, path = "x.safetensors" }
  end,
}
`;

describe('errors', () => {
  const bench = workbench({ 'broken.lua': broken, 'missing.lua': missing, 'failing.lua': failing, 'latent.lua': graph('return tb.save_tensor { value = tb.empty_latent {}, path = "x.safetensors" }') });

  bench.test('a Lua error names its file and line', async () => {
    bench.expectComplaints(/Failed to load resource/);
    const editor = await bench.open('latent.lua');
    await editor.press('Control+o');
    await editor.dialog('Open').getByRole('button', { name: /^broken\.lua/ }).click();
    await editor.page.getByRole('alert').filter({ hasText: 'broken.lua:5' }).first().waitFor();
    await editor.shot('lua-error');
  });

  bench.test('a node that fails names its line, and blocks what reads it', async () => {
    const editor = await bench.open('failing.lua');
    await editor.link('picky output 0 to Slice latent input latent').waitFor({ state: 'attached' });
    await editor.run();
    await editor.reaches('picky', 'error: .*not good enough');
    await editor.reaches('Slice latent', 'waiting for picky, which failed');
    await editor.reaches('Save tensor', 'waiting for picky, which failed');
    await editor.reaches('Empty latent', 'done');
    await editor.shot('failed');
    await editor.node('picky').getByRole('button', { name: /^failing\.lua:\d+$/ }).click();
    await editor.inspector.getByRole('region', { name: 'Made at' }).getByText(/failing\.lua:9$/).waitFor();
    await editor.inspector.getByText(/failing\.lua:9/).first().waitFor();
    await editor.shot('failed-inspector');

    await editor.select('Slice latent');
    await editor.inspector.getByRole('button', { name: 'picky' }).first().click();
    await editor.inspector.getByRole('heading', { name: 'picky' }).waitFor();

    await editor.button('Log').click();
    await editor.page.getByRole('log').getByText(/not good enough/).first().waitFor();
    await editor.shot('log');
  });

  bench.test('a file that is not there is told before the run', async () => {
    const editor = await bench.open('missing.lua');
    await editor.planned("there is no file 'not_there.png'");
    await editor.reaches('Load image', 'not_there\\.png');
    await editor.page.getByRole('banner').getByRole('button', { name: 'Show' }).click();
    await editor.inspector.getByRole('heading', { name: 'Load image' }).waitFor();
    await editor.inspector.getByText(/missing\.lua:5/).first().waitFor();
    await editor.shot('invalid-file');
  });

  bench.test('an input that is missing is marked before the run', async () => {
    const editor = await bench.open('missing.lua');
    await editor.drag(editor.socket('Resize images input image'), await editor.emptySpot());
    await editor.reaches('Resize images', 'image');
    await editor.page.getByRole('banner').getByLabel(/^\d problems?$/).waitFor();
    await editor.select('Resize images');
    await editor.inspector.getByText('needs input image').first().waitFor();
    await editor.shot('invalid');
  });

  bench.test('a file that is no graph is refused in a sentence', async () => {
    bench.expectComplaints(/Failed to load resource/);
    const editor = await bench.open('latent.lua');
    await editor.drop('notes.json', '{"this is": "no graph"}');
    await editor.page.getByRole('alert').filter({ hasText: /^notes\.json was not opened: / }).first().waitFor();
    assert.ok(await editor.node('Empty latent').isVisible(), 'what was open is still there');
  });
});
