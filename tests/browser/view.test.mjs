// view.test.mjs - what the canvas shows stays where it was looked at when panels come and go; lists offer what can be used.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center, eventually } from './editor.mjs';
import { latents, quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

/** How far the middle of a node is from the middle of the canvas. */
async function offset(editor, title) {
  const [node, canvas] = [await center(editor.node(title)), await center(editor.canvas)];
  return { x: node.x - canvas.x, y: node.y - canvas.y };
}

describe('the view', () => {
  const bench = workbench({ 'latents.lua': latents, 'quick.lua': quickVideo });

  bench.test('what was fitted is fitted again when a panel opens', async () => {
    const editor = await bench.open('quick.lua');
    await editor.tab('Nodes');
    await editor.settled();
    const canvas = await editor.canvas.boundingBox();
    await eventually(async () => {
      for (const title of ['Load model', 'Save video']) {
        const { x, width } = await editor.node(title).boundingBox();
        assert.ok(x >= canvas.x && x + width <= canvas.x + canvas.width, `${title} is in view`);
      }
    });
  });

  bench.test('what was moved by hand keeps its middle', async () => {
    const editor = await bench.open('latents.lua');
    const spot = await editor.emptySpot();
    await editor.drag(spot, { x: spot.x + 60, y: spot.y + 90 }, { button: 'middle' });
    await editor.settled();
    const before = await offset(editor, 'Empty latent');
    await editor.tab('Nodes');
    await editor.settled();
    await eventually(async () => {
      const after = await offset(editor, 'Empty latent');
      assert.ok(Math.hypot(after.x - before.x, after.y - before.y) < 3, `moved by ${after.x - before.x}, ${after.y - before.y}`);
    });
  });

  bench.test('nodes that only refuse are not offered', async () => {
    const editor = await bench.open('latents.lua');
    const nodes = await editor.tab('Nodes');
    await nodes.getByRole('button', { name: 'Add Empty latent', exact: true }).waitFor();
    assert.equal(await nodes.getByTitle(/^Not supported yet/).count(), 0);
    await nodes.getByRole('searchbox').fill('CLIP Vision');
    await eventually(async () => assert.equal(await nodes.getByTitle(/^Not supported yet/).count(), 0));
  });

  bench.test('a run that is shown leaves the history, and its steps with it', async () => {
    const editor = await bench.open('quick.lua');
    await editor.runToEnd();
    await editor.reaches('Save video', 'done');
    await editor.page.getByRole('button', { name: /^Steps/ }).click();
    const steps = editor.page.getByRole('region', { name: 'Steps of the run' });
    await steps.waitFor();
    const queue = await editor.tab(/^Queue/);
    await queue.getByRole('button', { name: /from the history$/ }).first().click();
    await steps.waitFor({ state: 'detached' });
    await editor.reaches('Save video', 'from cache'); // its results are still there
  });
});
