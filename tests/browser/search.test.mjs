// search.test.mjs - nodes are found and added: by a double click, the keyboard, the library.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('adding nodes', () => {
  const bench = workbench({ 'latents.lua': latents });

  bench.test('a double click on the canvas searches, and the node lands there', async () => {
    const editor = await bench.open('latents.lua');
    await editor.fileMenu('New graph');
    const { x, y } = await editor.emptySpot();
    await editor.page.mouse.dblclick(x, y);
    await editor.shot('search');
    await editor.choose('vae dec');
    await editor.says('Added VAE decode.');
    const box = await editor.node('VAE decode').boundingBox();
    assert.ok(Math.abs(box.x - x) < 24 && Math.abs(box.y - y) < 24, `at ${box.x}, ${box.y} and not ${x}, ${y}`);
  });

  bench.test('arrows choose, Enter adds, Escape leaves', async () => {
    const editor = await bench.open('latents.lua');
    await editor.clear();
    await editor.press('Shift+A');
    await editor.search.getByRole('combobox', { name: 'Nodes' }).fill('latent');
    const options = editor.search.getByRole('option');
    await eventually(async () => assert.equal(await options.first().getAttribute('aria-selected'), 'true'));
    await editor.press('ArrowDown', 'ArrowDown', 'ArrowUp');
    await eventually(async () => assert.equal(await options.nth(1).getAttribute('aria-selected'), 'true'));
    const [title] = (await options.nth(1).innerText()).split('\n');
    await editor.press('Enter');
    await editor.says(`Added ${title}`);

    await editor.clear();
    await editor.press('Shift+A', 'Escape');
    await editor.search.waitFor({ state: 'detached' });
  });

  bench.test('what is not there is said so', async () => {
    const editor = await bench.open('latents.lua');
    await editor.clear();
    await editor.press('Shift+A');
    await editor.search.getByRole('combobox').fill('zebra crossing');
    await editor.search.getByText('No node is called that.').waitFor();
  });

  bench.test('the library is searched, clicked and dragged from', async () => {
    const editor = await bench.open('latents.lua');
    const library = await editor.tab('Nodes');
    await library.getByRole('searchbox', { name: 'Search nodes' }).fill('batch');
    await library.getByRole('button', { name: 'Add Batch images' }).click();
    await editor.says('Added Batch images.');

    await library.getByRole('searchbox').fill('flow shift');
    await library.getByRole('button', { name: 'Add Flow shift' }).dragTo(editor.canvas, { targetPosition: { x: 60, y: 60 } });
    await editor.node('Flow shift').waitFor();
  });

  bench.test('an empty canvas says how to start', async () => {
    const editor = await bench.open('latents.lua');
    await editor.fileMenu('New graph');
    const hint = editor.page.getByRole('region', { name: 'Start' });
    await hint.waitFor();
    await editor.shot('empty');
    await hint.getByRole('button', { name: /^Add a node/ }).click();
    await editor.choose('empty latent');
    await editor.node('Empty latent').waitFor();
    await hint.waitFor({ state: 'detached' });
  });
});
