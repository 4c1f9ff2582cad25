// steps.test.mjs - the inside of a sampling node: its steps unfold, are looked at, and branched from; scopes fold.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { graph, quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

const rows = graph(`for i = 1, 3 do
  tb.save_tensor { id = ("row_%02d/save"):format(i), path = i .. ".safetensors",
                   value = tb.empty_latent { id = ("row_%02d/latent"):format(i), frames = 4 * i + 1 } }
end
return tb.save_tensor { value = tb.empty_latent {}, path = "x.safetensors" }`);

describe('steps', () => {
  const bench = workbench({ 'quick.lua': quickVideo, 'rows.lua': rows });

  bench.test('a sampling node unfolds into its steps', async () => {
    const editor = await bench.open('quick.lua');
    await editor.planned(/nodes will run/);
    await editor.button('Unfold the steps').click();
    const inside = editor.canvas.getByRole('listitem', { name: 'step 0' }).or(editor.canvas.getByRole('listitem', { name: 'step 1' }));
    await inside.first().waitFor();
    await editor.press('.');
    await editor.settled();
    await editor.shot('unfolded');
    await editor.runToEnd();
    await editor.reaches('Save video', 'done');
    await inside.first().getByRole('button', { name: /, done/ }).first().waitFor();
    await inside.first().getByRole('button', { name: /, done/ }).first().click();
    await editor.inspector.getByText(/inside/).first().waitFor();
    await editor.shot('unfolded-done');
    await editor.button('Fold the steps').click();
    await inside.first().waitFor({ state: 'detached' });
  });

  bench.test('the steps of a run are looked at, and one is branched from', async () => {
    const editor = await bench.open('quick.lua');
    await editor.runToEnd();
    await editor.reaches('Save video', 'done|from cache');
    await editor.page.getByRole('button', { name: /^Steps/ }).click();
    const scrubber = editor.page.getByRole('region', { name: 'Steps of the run' });
    const slider = scrubber.getByRole('slider', { name: 'Step' });
    await eventually(async () => assert.equal(await slider.getAttribute('aria-valuetext'), 'step 4 of 4'));
    await slider.focus();
    await editor.press('Home', 'ArrowRight');
    await eventually(async () => assert.equal(await slider.getAttribute('aria-valuetext'), 'step 2 of 4'));
    const picture = scrubber.getByRole('img', { name: 'sample after step 2 of 4' });
    await eventually(async () => assert.ok(await picture.evaluate((img) => img.complete && img.naturalWidth > 0)));
    await scrubber.getByText(/^noise 0\.\d{3}$/).waitFor();
    await editor.shot('scrubber');
    await scrubber.getByRole('button', { name: 'Compare with the end' }).click();
    await editor.page.getByRole('dialog').getByRole('img', { name: 'step 4' }).waitFor();
    await editor.shot('compare-steps');
    await editor.press('Escape');

    await scrubber.getByRole('button', { name: 'Branch from here' }).click();
    await editor.page.getByRole('banner').getByRole('button', { name: /from step 2/ }).waitFor();
    await editor.canvas.getByRole('group', { name: /^Sample|^sample/ }).nth(1).waitFor();
    await editor.planned('Nothing to compute');
    await editor.inspector.getByLabel('parameter cfg').fill('1.5');
    await editor.planned(/^\d+ of \d+ nodes will run/);
    await editor.shot('branch');
    const [, run, all] = /^(\d+) of (\d+)/.exec(await editor.plan.innerText());
    assert.ok(Number(run) < Number(all), `the first steps are stored: ${run} of ${all} are to run`);
    await editor.runToEnd();
    await editor.reaches('Save video', 'done');
  });

  bench.test('scopes fold into one box, and stay so', async () => {
    const editor = await bench.open('rows.lua');
    await editor.button('Fold row_02').click();
    await editor.canvas.getByRole('group', { name: 'scope row_02, folded, 2 nodes' }).waitFor();
    await editor.node('latent').nth(1).waitFor();
    assert.equal(await editor.node('latent').count(), 2, 'those of the two other rows');
    await editor.button('Fold row_01').click();
    await editor.shot('folded');
    await editor.button('Unfold row_02').click();
    await eventually(async () => assert.equal(await editor.node('latent').count(), 2));
    await editor.runToEnd();
    await editor.reaches('Save tensor', 'done');
    await editor.canvas.getByRole('group', { name: /^scope row_01/ }).getByText(/done|ms|s$/).first().waitFor();
  });
});
