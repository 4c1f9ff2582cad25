// connect.test.mjs - links: made, refused, moved, taken away, and dropped to find a node.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center } from './editor.mjs';
import { latents } from './graphs.mjs';
import { workbench } from './harness.mjs';

const whole = 'Empty latent output latent to Slice latent input latent';
const part = 'Slice latent output latent to Save tensor input value';

describe('links', () => {
  const bench = workbench({ 'latents.lua': latents });

  bench.test('a valid link is made, and its input holds one', async () => {
    const editor = await bench.open('latents.lua');
    await editor.connect('Empty latent output latent', 'Save tensor input value');
    await editor.says('Connected Empty latent to Save tensor input value.');
    await editor.link('Empty latent output latent to Save tensor input value').waitFor({ state: 'attached' });
    assert.equal(await editor.link(part).count(), 0, 'the new link replaces the old');
  });

  bench.test('it is made from the input too', async () => {
    const editor = await bench.open('latents.lua');
    await editor.connect('Slice latent input count', 'Integer output value');
    await editor.link('Integer output value to Slice latent input count').waitFor({ state: 'attached' });
    await editor.node('Slice latent').getByText('from Integer').waitFor();
  });

  bench.test('a link of the wrong type is refused', async () => {
    const editor = await bench.open('latents.lua');
    await editor.connect('Text output value', 'Slice latent input latent');
    await editor.unlinked('Text output value to Slice latent input latent');
    await editor.link(whole).waitFor({ state: 'attached' });
    assert.ok(await editor.button('Undo').isDisabled(), 'nothing was changed');
  });

  bench.test('a link that would close a circle is refused', async () => {
    const editor = await bench.open('latents.lua');
    await editor.connect('Slice latent output latent', 'Slice latent input latent');
    await editor.link(whole).waitFor({ state: 'attached' });
    assert.ok(await editor.button('Undo').isDisabled(), 'nothing was changed');
  });

  bench.test('its end is dragged to another input, or away', async () => {
    const editor = await bench.open('latents.lua');
    await editor.connect('Save tensor input value', 'Blend latents input a');
    await editor.link('Slice latent output latent to Blend latents input a').waitFor({ state: 'attached' });
    await editor.unlinked(part);

    await editor.drag(editor.socket('Slice latent input latent'), await editor.emptySpot());
    await editor.says('Disconnected input latent.');
    await editor.unlinked(whole);
    assert.ok(await editor.search.isHidden(), 'what was taken away asks for no node');
  });

  bench.test('a link let go on the canvas finds a node that takes it', async () => {
    const editor = await bench.open('latents.lua');
    await editor.drag(editor.socket('Empty latent output latent'), await editor.emptySpot());
    await editor.search.getByRole('combobox', { name: 'Nodes that take latent' }).waitFor();
    await editor.shot('search-for-a-link');
    const offered = await editor.search.getByRole('option').allInnerTexts();
    assert.ok(offered.some((text) => text.startsWith('VAE decode')), 'what takes a latent is offered');
    assert.ok(!offered.some((text) => text.startsWith('Load image')), 'what does not is not');
    await editor.choose('vae decode');
    await editor.link('Empty latent output latent to VAE decode input latent').waitFor({ state: 'attached' });
  });

  bench.test('one from an input finds a node that gives it', async () => {
    const editor = await bench.open('latents.lua');
    await editor.drag(editor.socket('Slice latent input start'), await editor.emptySpot());
    await editor.search.getByRole('combobox', { name: 'Nodes that give int' }).waitFor();
    await editor.choose('calculate');
    await editor.link('Calculate output number to Slice latent input start').waitFor({ state: 'attached' });
  });

  bench.test('a link is selected and deleted', async () => {
    const editor = await bench.open('latents.lua');
    const from = await center(editor.socket('Empty latent output latent'));
    const to = await center(editor.socket('Slice latent input latent'));
    await editor.page.mouse.click((from.x + to.x) / 2, (from.y + to.y) / 2);
    await editor.press('Delete');
    await editor.says('Deleted the link.');
    await editor.unlinked(whole);
  });
});
