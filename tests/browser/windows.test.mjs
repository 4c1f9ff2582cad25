// windows.test.mjs - two windows on one server agree on what runs, whoever started it.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents, quickVideo, slowVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('two windows', () => {
  const bench = workbench({ 'quick.lua': quickVideo, 'slow.lua': slowVideo, 'latents.lua': latents });

  bench.test('show the same run of the same graph', async () => {
    const [one, two] = [await bench.open('quick.lua'), await bench.open('quick.lua')];
    await one.run();
    await Promise.all([one, two].map((editor) => editor.reaches('Save video', 'done')));
    await Promise.all([one, two].map((editor) => editor.planned('Nothing to compute')));
    const lists = await Promise.all([one, two].map((editor) => editor.tab('Queue')));
    for (const list of lists) await list.getByText(/^Done in/).first().waitFor();
  });

  bench.test('one interrupts what the other started', async () => {
    const [one, two] = [await bench.open('slow.lua'), await bench.open('latents.lua')];
    await one.run();
    await two.page.getByRole('progressbar', { name: 'Run' }).waitFor();
    const queue = await two.tab('Queue');
    await queue.getByRole('button', { name: /^Cancel / }).first().click();
    await queue.getByText(/^Canceled/).first().waitFor();
    await one.page.getByRole('progressbar', { name: 'Run' }).waitFor({ state: 'detached' });
    assert.equal(await two.node('Save tensor', 'running').count(), 0, 'it is not the graph of this window');
  });

  bench.test('one that saves is seen by the other', async () => {
    const one = await bench.open('latents.lua');
    await one.clear();
    await one.press('Control+s');
    await one.page.getByRole('dialog').getByLabel('File below the graphs folder').fill('shared.lua');
    await one.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await one.says('Saved shared.lua.');
    const two = await bench.open('shared.lua');
    await one.field('Integer value').fill('42');
    await one.press('Tab', 'Control+s');
    await one.says('Saved shared.lua.');
    await eventually(async () => assert.equal(await two.field('Integer value').inputValue(), '42'));
  });
});
