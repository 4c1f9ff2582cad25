// tabs.test.mjs - several graphs are open at once; none of them loses what was not saved: not to another graph, not to a
// reload, not to a closed window or a file that goes.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents, textToVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

const tab = (editor, name) => editor.page.getByRole('tablist', { name: 'Open graphs' }).getByRole('tab', { name });

/** A new graph with one node. */
async function startNew(editor) {
  await editor.fileMenu('New graph');
  await editor.clear();
  await editor.press('Shift+A');
  await editor.choose('empty latent');
  await editor.node('Empty latent').waitFor();
}

describe('open graphs', () => {
  const bench = workbench({ 'latents.lua': latents, 'other.lua': latents.replace('value = 1 }', 'value = 7 }'), 'text_to_video.lua': textToVideo });

  bench.test('a graph that was changed stays open beside the next, with its undo', async () => {
    const editor = await bench.open('latents.lua');
    await editor.field('Integer value').fill('5');
    await editor.press('Tab', 'Control+o');
    await editor.dialog('Open').getByRole('button', { name: /^other\.lua/ }).click();
    await editor.opened('other.lua');
    assert.equal(await editor.field('Integer value').inputValue(), '7');
    await editor.shot('tabs');
    await tab(editor, /^latents\.lua ?, unsaved changes/).click();
    await eventually(async () => assert.equal(await editor.field('Integer value').inputValue(), '5'));
    await editor.clear();
    await editor.press('Control+z');
    await eventually(async () => assert.equal(await editor.field('Integer value').inputValue(), '1'));
    await editor.press('Alt+PageDown');
    await editor.opened('other.lua');
    await editor.button('Close latents.lua').click();
    await tab(editor, /latents/).waitFor({ state: 'detached' });
  });

  bench.test('a graph that is opened again is only shown', async () => {
    const editor = await bench.open('latents.lua');
    await startNew(editor);
    await editor.press('Control+o');
    await editor.dialog('Open').getByRole('button', { name: /^latents\.lua/ }).click();
    await editor.opened('latents.lua');
    await tab(editor, /^untitled ?, unsaved/).waitFor();
    assert.equal(await tab(editor, /latents/).count(), 1);
  });

  bench.test('what was never a file outlives a reload, and a closed window', async () => {
    const context = await bench.context();
    const editor = await bench.open('latents.lua', { context });
    await startNew(editor);
    await tab(editor, 'latents.lua').waitFor();
    await editor.page.reload();
    await editor.opened('untitled');
    await editor.node('Empty latent').waitFor();
    await tab(editor, 'latents.lua').click(); // read only now
    await editor.opened('latents.lua');
    await tab(editor, /^untitled/).click();
    await editor.node('Empty latent').waitFor();
    await editor.page.close();

    const again = await bench.open('text_to_video.lua', { context });
    const notice = again.page.getByRole('status').filter({ hasText: 'There is an unsaved graph, untitled' });
    await notice.getByRole('button', { name: 'Open it' }).click();
    await again.opened('untitled');
    await again.node('Empty latent').waitFor();
  });

  bench.test('closing asks where something would be lost', async () => {
    const editor = await bench.open('latents.lua');
    await startNew(editor);
    await editor.press('Alt+w');
    await editor.dialog('Close untitled?').getByRole('button', { name: 'Cancel' }).click();
    await editor.node('Empty latent').waitFor();
    await editor.press('Alt+w');
    await editor.dialog('Close untitled?').getByRole('button', { name: 'Close without saving' }).click();
    await editor.opened('latents.lua');
    await tab(editor, /./).waitFor({ state: 'detached' });

    await editor.field('Integer value').fill('9');
    await editor.press('Tab', 'Alt+w');
    await editor.dialog('Close latents.lua?').getByRole('button', { name: 'Close without saving' }).click();
    await editor.page.getByRole('region', { name: 'Start' }).waitFor();
    await editor.page.reload();
    await editor.opened('latents.lua'); // the last file
    assert.equal(await editor.field('Integer value').inputValue(), '1');
    assert.equal(await editor.page.getByRole('status').filter({ hasText: 'unsaved' }).count(), 0, 'no draft of what was discarded');
  });

  bench.test('a file that goes leaves its graph, which is saved anew', async () => {
    bench.server.write('going.lua', latents);
    const editor = await bench.open('going.lua');
    rmSync(join(bench.server.graphs, 'going.lua'));
    await editor.page.getByRole('status').filter({ hasText: 'going.lua is gone from the disk' }).waitFor();
    await editor.node('Empty latent').waitFor();
    await editor.press('Control+s');
    await editor.says('Saved going.lua.');
    assert.match(bench.server.read('going.lua'), /tb\.latent_slice/);
  });
});
