// restart.test.mjs - the server is killed without warning and started again: the page says so, and all goes on.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { latents, quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('a server that is killed', () => {
  const bench = workbench({ 'slow.lua': quickVideo.replace('default = 4, min', 'default = 400, min'), 'latents.lua': latents });

  bench.test('comes back with its queue, and the page with it', async () => {
    bench.expectComplaints(/ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket connection/);
    const editor = await bench.open('slow.lua');
    const other = await bench.open('latents.lua');
    await editor.run();
    await other.run();
    await other.reaches('Save tensor', 'queued, 1st');
    await editor.reaches('Sample', 'running');
    await bench.server.kill();

    const banner = editor.page.getByRole('status', { name: 'Connection' });
    await banner.getByText('Connection lost.').waitFor();
    assert.ok(await editor.page.getByRole('button', { name: /^Run\b(?! to)/ }).first().isDisabled());
    await editor.field('positive text').fill('editing goes on');
    await editor.press('Tab', 'Control+z');
    await editor.shot('disconnected');

    await bench.server.start();
    await banner.getByRole('button', { name: 'Try now' }).click({ timeout: 2000 }).catch(() => {}); // or it was quicker
    await banner.waitFor({ state: 'detached' });
    await editor.node('Save video', 'done').waitFor({ timeout: 120_000 });
    await other.reaches('Save tensor', 'done');
    await editor.planned('Nothing to compute');
  });
});
