// results.test.mjs - what runs have made: gallery, viewer, comparison, history, store.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('results', () => {
  const bench = workbench({ 'quick.lua': quickVideo });

  async function made(...seeds) {
    const editor = await bench.open('quick.lua');
    for (const seed of seeds) {
      await editor.inspector.getByRole('spinbutton', { name: 'parameter seed' }).fill(String(seed));
      await eventually(async () => assert.equal(await editor.field('Noise seed').inputValue(), String(seed)));
      await editor.runToEnd();
      await editor.reaches('Save video', 'done|from cache');
    }
    return editor;
  }

  bench.test('a video plays and seeks, by parts of its file', async () => {
    const editor = await made(1);
    const parts = [];
    editor.page.on('response', (response) => response.status() === 206 && parts.push(response.url()));
    const gallery = await editor.tab('Gallery');
    await gallery.getByRole('button', { name: /^View out\.mp4/ }).first().click();
    const viewer = editor.page.getByRole('dialog');
    const slider = viewer.getByRole('slider', { name: 'Frame' });
    await eventually(async () => assert.equal(await slider.getAttribute('aria-valuetext'), 'frame 1 of 5'));
    await editor.shot('viewer');
    await slider.focus();
    await editor.press('End');
    await eventually(async () => assert.equal(await slider.getAttribute('aria-valuetext'), 'frame 5 of 5'));
    const video = viewer.getByLabel(/^The video/);
    await eventually(async () => assert.ok(await video.evaluate((v) => v.currentTime > 0.4 && !v.seeking && v.readyState >= 2)));
    await viewer.getByRole('button', { name: 'Play' }).click();
    await viewer.getByRole('button', { name: 'Pause' }).waitFor();
    await eventually(async () => assert.ok(await video.evaluate((v) => !v.paused)));
    await viewer.getByRole('button', { name: 'Pause' }).click();
    assert.ok(parts.length > 0, 'the file was asked for in parts: 206');
    await editor.press('Escape');
    await viewer.waitFor({ state: 'detached' });
  });

  bench.test('the node that saves the video shows it', async () => {
    const editor = await made(1);
    const picture = editor.canvas.getByRole('img', { name: 'Preview of mux' });
    await eventually(async () => assert.ok(await picture.evaluate((img) => img.complete && img.naturalWidth > 0)));
  });

  bench.test('a result leads back to its graph, and two are compared', async () => {
    const editor = await made(1, 2);
    const gallery = await editor.tab('Gallery');
    const tiles = gallery.getByRole('button', { name: /^View / });
    await eventually(async () => assert.ok((await tiles.count()) >= 2));
    await editor.shot('gallery');
    await tiles.first().click();
    const dialog = editor.page.getByRole('dialog');
    await dialog.getByLabel('Compare with').selectOption({ index: 1 });
    await editor.page.getByRole('dialog', { name: 'Compare two runs' }).waitFor();
    await dialog.getByRole('table', { name: 'What differs' }).getByText('seed').waitFor();
    await dialog.getByLabel('wipe', { exact: true }).check();
    const wipe = dialog.getByRole('slider', { name: 'Wipe' });
    await wipe.focus();
    await editor.press('ArrowLeft');
    await eventually(async () => assert.equal(await wipe.inputValue(), '49'));
    await editor.shot('compare');
    await editor.press('Escape');

    await tiles.first().click();
    await dialog.getByRole('button', { name: 'Open its graph' }).click();
    await editor.node('Save video', 'done|from cache').waitFor();
  });

  bench.test('the history runs again, reopens and forgets', async () => {
    bench.expectComplaints(/404/); // the steps of the run that is forgotten
    const editor = await made(3);
    const queue = await editor.tab('Queue');
    const again = queue.getByRole('button', { name: /^Run .* again$/ });
    await again.first().waitFor();
    const before = await again.count();
    await editor.shot('queue');
    await again.first().click();
    await eventually(async () => assert.equal(await again.count(), before + 1));
    await queue.getByRole('button', { name: /^Remove .* from the history$/ }).first().click();
    await eventually(async () => assert.equal(await again.count(), before));
    await editor.fileMenu('New graph');
    await queue.getByRole('button', { name: /^Open the graph of / }).first().click();
    await editor.node('Sample').waitFor();
  });

  bench.test('stored results are pinned, looked at and evicted', async () => {
    const editor = await made(1);
    const store = await editor.tab('Store');
    await store.getByLabel('Order').selectOption('largest');
    const rows = store.getByRole('button', { expanded: false }).filter({ hasText: 'vae_decode' });
    await rows.first().click();
    await store.getByRole('img', { name: 'Picture of this vae_decode' }).waitFor();
    await editor.shot('store');
    const pin = store.getByRole('button', { name: /^Pin vae_decode/ }).first();
    await pin.click();
    await store.getByRole('button', { name: /^Pin vae_decode/, pressed: true }).first().waitFor();
    await store.getByRole('button', { name: 'Evict all' }).click();
    await editor.dialog('Evict everything?').getByRole('button', { name: 'Evict all' }).click();
    await editor.says(/freed/);
    await eventually(async () => assert.equal(await store.getByRole('button', { name: /^Evict (?!all)/ }).count(), 1, 'the pinned one stays'));
    await store.getByText('Why nodes run, or do not').click();
    await store.getByText(/runs/).first().waitFor();
  });
});
