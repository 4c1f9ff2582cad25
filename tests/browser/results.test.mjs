// results.test.mjs - what runs have made: gallery, viewer, comparison, history, store.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('results', () => {
  const longVideo = quickVideo.replace('default = "32x32"', 'default = "48x32"').replace('default = 5', 'default = 17');
  const bench = workbench({ 'quick.lua': quickVideo, 'long.lua': longVideo });

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

  bench.test('a video is shown and saved as contact sheet and as GIF', async () => {
    const editor = await made(1);
    const gallery = await editor.tab('Gallery');
    await gallery.getByRole('button', { name: /^View out\.mp4/ }).first().click();
    const viewer = editor.page.getByRole('dialog');
    await viewer.getByLabel('show as contact sheet').check();
    const sheet = viewer.getByRole('img', { name: 'Frames of out.mp4, from the first to the last' });
    const size = () => sheet.evaluate((img) => [img.naturalWidth, img.naturalHeight]);
    await eventually(async () => assert.deepEqual(await size(), [3 * 192, 2 * 192])); // five frames of 32, enlarged
    await editor.shot('contact-sheet');
    for (const [name, file, magic] of [['contact sheet', 'out_sheet.png', '\x89PNG'], ['GIF', 'out.gif', 'GIF8']]) {
      const [saved] = await Promise.all([editor.page.waitForEvent('download'), viewer.getByRole('button', { name: `Save as ${name}` }).click()]);
      assert.equal(saved.suggestedFilename(), file);
      assert.equal(readFileSync(await saved.path()).toString('latin1', 0, 4), magic);
      await viewer.getByText(`Saved ${file}.`).waitFor();
    }
    await viewer.getByLabel('show as contact sheet').uncheck();
    await viewer.getByLabel(/^The video/).waitFor();
    bench.expectComplaints(/500/); // the answer is made to fail
    const broken = { error: { code: 'internal', message: 'the disk is full' } };
    await editor.page.route(/format=gif/, (route) => route.fulfill({ status: 500, json: broken }));
    await viewer.getByRole('button', { name: 'Save as GIF' }).click();
    await viewer.getByText('There is no GIF: the disk is full').waitFor();
  });

  bench.test('videos of two lengths and sizes are compared', async () => {
    await made(1);
    const editor = await bench.open('long.lua');
    await editor.runToEnd();
    await editor.reaches('Save video', 'done|from cache');
    const gallery = await editor.tab('Gallery');
    await gallery.getByRole('button', { name: /^View / }).first().click();
    const dialog = editor.page.getByRole('dialog');
    await dialog.getByLabel('Compare with').selectOption({ index: 1 });
    await editor.page.getByRole('dialog', { name: 'Compare two runs' }).waitFor();
    const slider = dialog.getByRole('slider', { name: 'Frame' });
    await eventually(async () => assert.equal(await slider.getAttribute('aria-valuetext'), 'frame 1 of 17'));
    const videos = dialog.locator('video');
    const boxes = await videos.evaluateAll((all) => all.map((v) => [v.clientWidth, v.clientHeight, v.videoWidth, v.videoHeight]));
    assert.deepEqual(boxes.map((box) => box.slice(2)), [[48, 32], [32, 32]]);
    assert.deepEqual(boxes[0].slice(0, 2), boxes[1].slice(0, 2));
    await slider.focus();
    await editor.press('End');
    await eventually(async () => assert.deepEqual(await videos.evaluateAll((all) => all.map((v) => Math.floor(v.currentTime * 8))), [16, 4]));
    await editor.shot('compare-lengths');
    await dialog.getByRole('button', { name: 'Play' }).click();
    // the shorter one stands still at its end while the longer one goes on: five looks in a row
    const waits = await videos.evaluateAll(([long, short]) => new Promise((done) => {
      const end = performance.now() + 60_000;
      let still = 0;
      const look = () => {
        const goesOn = long.currentTime > short.duration + 0.2 && long.currentTime < long.duration - 0.2;
        still = goesOn && short.paused && short.currentTime > short.duration - 0.1 ? still + 1 : 0;
        if (still === 5 || performance.now() > end) done(still === 5);
        else requestAnimationFrame(look);
      };
      look();
    }));
    assert.ok(waits, 'the shorter video moves although it is over');
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
