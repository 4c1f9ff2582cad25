// drop.test.mjs - files dropped on the canvas: graphs of ours and ComfyUI's, and the pictures and videos they made.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { graph, latents, quickVideo } from './graphs.mjs';
import { root, workbench } from './harness.mjs';

const picture = graph(`local m = tb.load_model {}
local z = tb.noise_init { model = m.model, size = "32x32", frames = 1, seed = 3 }
return tb.save_image { images = tb.vae_decode { vae = m.vae, latent = z }, path = "still.png" }`);

const workflows = join(root, 'tests/workflows');

describe('a dropped file', () => {
  const bench = workbench({ 'quick.lua': quickVideo, 'picture.lua': picture, 'latents.lua': latents });

  for (const [made, graphName, saver, title] of [['out.mp4', 'quick.lua', 'Save video', 'Sample'], ['still.png', 'picture.lua', 'Save image', 'Noise']]) {
    bench.test(`${made} brings back the graph that made it`, async () => {
      const editor = await bench.open(graphName);
      await editor.runToEnd();
      await editor.reaches(saver, 'done');
      const bytes = readFileSync(join(bench.server.folder, 'output', made));
      const before = (await editor.lua()).match(/tb\.\w+/g).sort();

      const other = await bench.open('latents.lua');
      await other.drop(made, bytes);
      await other.node(title).waitFor();
      await eventually(async () => assert.equal(await other.node('Integer').count(), 0, 'the graph before is gone'));
      assert.deepEqual((await other.lua()).match(/tb\.\w+/g).sort(), before);
      await other.planned('Nothing to compute');
    });
  }

  bench.test('may be a Lua file', async () => {
    const editor = await bench.open('latents.lua');
    await editor.drop('mine.lua', picture);
    await editor.node('Save image').waitFor();
  });

  bench.test('is fitted into the view under a menu opened meanwhile', async () => {
    const editor = await bench.open('latents.lua');
    await editor.drop('mine.lua', picture);
    await editor.node('Save image').waitFor();
    await editor.page.getByRole('banner').locator('[aria-haspopup=menu]').click();
    await editor.page.evaluate(() => new Promise((fitted) => setTimeout(fitted, 500)));
    assert.ok(await editor.page.getByRole('menu', { name: 'File' }).isVisible());
  });

  bench.test("may be a workflow of ComfyUI's editor", async (t) => {
    const files = existsSync(workflows) ? readdirSync(workflows).filter((name) => name.endsWith('.json')) : [];
    assert.ok(files.length > 0, 'there are workflows to drop');
    const editor = await bench.open('latents.lua');
    for (const name of files) {
      await editor.drop(name, readFileSync(join(workflows, name)));
      await editor.says(`Opened ${name}.`);
      await editor.canvas.getByRole('group').first().waitFor();
      await editor.shot(`workflow-${name}`);
    }
  });

  bench.test('may hold nodes that nobody knows here: they are shown, named and kept', async () => {
    const socket = (name, type, link) => ({ name, type, link });
    const strange = {
      id: 5,
      type: 'StrangeBlend',
      pos: [400, 40],
      size: [240, 120],
      title: 'Strange',
      properties: { cnr_id: 'comfyui-strange' },
      inputs: [socket('image', 'IMAGE', 1), { ...socket('amount', 'FLOAT', null), widget: { name: 'amount' } }],
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [2] }],
      widgets_values: [0.25],
    };
    const workflow = {
      nodes: [
        { id: 1, type: 'LoadImage', pos: [0, 40], size: [300, 300], outputs: [], widgets_values: ['start.png', 'image'] },
        strange,
        { ...strange, id: 6, title: 'Off', mode: 4, pos: [400, 300], inputs: [socket('image', 'IMAGE', null)] },
        { id: 9, type: 'PreviewImage', pos: [720, 40], size: [300, 300], inputs: [socket('images', 'IMAGE', 2)] },
      ],
      links: [[1, 1, 0, 5, 0, 'IMAGE'], [2, 5, 0, 9, 0, 'IMAGE']],
      version: 0.4,
    };
    const editor = await bench.open('latents.lua');
    await editor.drop('strange.json', JSON.stringify(workflow));
    await editor.says('Opened strange.json.');
    await editor.says("node '5' is a 'StrangeBlend' of the node pack 'comfyui-strange', which tubelet does not have");
    await editor.reaches('Strange', "unknown node type 'StrangeBlend'.*from the node pack 'comfyui-strange'");
    await editor.node('Off', 'bypassed').waitFor();
    await editor.shot('unknown-nodes');
    const graph = JSON.parse((await editor.downloaded(() => editor.fileMenu('Export (API)'))).text);
    assert.equal(graph['5'].inputs.amount, 0.25);
    assert.deepEqual(graph['5'].inputs.image, ['1', 0]);
    assert.deepEqual(graph['9'].inputs.images, ['5', 0]);
    assert.ok(!('6' in graph), 'what is bypassed is not exported');
  });
});
