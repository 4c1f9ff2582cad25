// run.test.mjs - a run as it is seen: queued, running, previews, done; stored results; interrupt; parts of a graph.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents, quickVideo, slowVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('running', () => {
  const bench = workbench({ 'quick.lua': quickVideo, 'slow.lua': slowVideo, 'latents.lua': latents });

  bench.test('a run is queued, moves, shows what it makes, and ends', async () => {
    const editor = await bench.open('quick.lua');
    await editor.planned(/^\d+ of \d+ nodes will run, time unknown, /);
    await editor.field('Sample steps').fill('12');
    await editor.shot('idle');
    const bar = editor.page.getByRole('progressbar', { name: 'Run' });
    const seen = new Set();
    await editor.run();
    await editor.reaches('Sample', 'running, \\d+ percent');
    await editor.canvas.getByRole('img', { name: 'Preview of sample' }).waitFor();
    await editor.shot('running');
    await eventually(async () => {
      if (await bar.isVisible()) seen.add(await bar.getAttribute('value'));
      assert.ok(seen.size >= 3, `the bar stood at ${[...seen]}`);
    });
    await editor.reaches('Sample', 'done in [\\d.]+ seconds');
    await editor.reaches('Save video', 'done');
    await bar.waitFor({ state: 'detached' });
    await editor.shot('done');
    assert.ok(existsSync(join(bench.server.folder, 'output', 'out.mp4')), 'the video is in the output folder');
  });

  bench.test('what is stored does not run again', async () => {
    const editor = await bench.open('quick.lua');
    await editor.runToEnd();
    await editor.reaches('Save video', 'done');
    await editor.planned('Nothing to compute');
    await editor.runToEnd();
    await editor.reaches('Save video', 'from cache');
    await editor.shot('cached');

    await editor.field('Save video fps').fill('12');
    await editor.planned(/^1 of \d+ nodes will run/);
  });

  bench.test('the second of two runs waits its turn', async () => {
    const editor = await bench.open('slow.lua');
    await editor.run();
    await editor.reaches('Sample', 'running');
    const other = await bench.open('latents.lua');
    await other.run();
    await other.reaches('Save tensor', 'queued, 1st');
    await other.shot('queued');
    await editor.button('Interrupt').click();
    await other.reaches('Save tensor', 'done');
  });

  bench.test('a run is interrupted, and keeps what it has', async () => {
    const editor = await bench.open('slow.lua');
    await editor.field('Noise seed').fill('77');
    await editor.run();
    await editor.reaches('Sample', 'running, [1-9]\\d* percent');
    await editor.press('Control+Alt+Enter');
    const queue = await editor.tab('Queue');
    await queue.getByText(/^Canceled after/).first().waitFor();
    assert.ok(await editor.button('Interrupt').isDisabled());
    await editor.planned(/^\d+ of \d+ nodes will run/);
    const [, run, all] = /^(\d+) of (\d+)/.exec(await editor.plan.innerText());
    assert.ok(Number(run) < Number(all), `${run} of ${all} nodes are still to run`);
  });

  bench.test('a node is run to, and nothing behind it', async () => {
    const editor = await bench.open('latents.lua');
    await editor.field('Empty latent frames').fill('9');
    await editor.menu(editor.node('Slice latent').getByText('Slice latent', { exact: true }), 'Run to this node');
    await editor.reaches('Slice latent', 'done');
    assert.equal(await editor.node('Save tensor', 'done').count(), 0);
  });
});
