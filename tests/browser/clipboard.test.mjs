// clipboard.test.mjs - nodes are copied, cut, pasted with and without their links, and doubled.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents } from './graphs.mjs';
import { workbench } from './harness.mjs';

const copies = (editor, title) => editor.canvas.getByRole('group', { name: new RegExp(`^${title}( \\d+)?( ?,|$)`) });
const fed = (editor) => editor.canvas.getByRole('button', { name: /^Empty latent output latent to Slice latent( \d+)? input latent$/ });

async function count(locator, wanted) {
  await eventually(async () => assert.equal(await locator.count(), wanted));
}

describe('copies', () => {
  const bench = workbench({ 'latents.lua': latents });

  bench.test('links among what is copied come along, others do not', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Slice latent');
    await editor.select('Save tensor', { modifiers: ['Shift'] });
    await editor.press('Control+c');
    await editor.says('Copied 2 nodes.');
    await editor.press('Control+v');
    await editor.says('Pasted 2 nodes.');
    await count(copies(editor, 'Slice latent'), 2);
    await count(copies(editor, 'Save tensor'), 2);
    await count(fed(editor), 1);
    await count(editor.canvas.getByRole('button', { name: /^Slice latent 2 output latent to Save tensor 2 input value$/ }), 1);
  });

  bench.test('incoming links are kept on demand', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Slice latent');
    await editor.press('Control+c', 'Control+Shift+v');
    await count(copies(editor, 'Slice latent'), 2);
    await count(fed(editor), 2);
  });

  bench.test('duplicate keeps them too', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Slice latent');
    await editor.press('Control+d');
    await count(copies(editor, 'Slice latent'), 2);
    await count(fed(editor), 2);
  });

  bench.test('cut nodes can be pasted in another window', async () => {
    const context = await bench.context();
    const editor = await bench.open('latents.lua', { context });
    await editor.select('Text');
    await editor.press('Control+x');
    await count(copies(editor, 'Text'), 0);

    const other = await bench.open('latents.lua', { context });
    await other.fileMenu('New graph');
    await other.press('Control+v');
    await other.says('Pasted 1 node.');
    assert.equal(await other.field('Text value').inputValue(), 'words');
  });

  bench.test('text that is no graph is not pasted', async () => {
    const editor = await bench.open('latents.lua');
    await editor.page.evaluate(() => navigator.clipboard.writeText('{"graph": 12}'));
    await editor.clear();
    await editor.press('Control+v');
    await editor.button('Undo').and(editor.page.locator(':disabled')).waitFor();
  });
});
