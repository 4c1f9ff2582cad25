// keyboard.test.mjs - without a mouse: a graph is built, connected, run and saved; dialogs keep the focus.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents } from './graphs.mjs';
import { workbench } from './harness.mjs';

const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');

/** Tab until this has the focus. */
async function tabTo(editor, name, key = 'Tab') {
  for (let i = 0; i < 150; i++) {
    if (name.test(await focused(editor.page))) return;
    await editor.press(key);
  }
  throw new Error(`Tab never came to ${name}`);
}

async function choose(editor, label) {
  const list = editor.page.locator('select:focus');
  await list.waitFor();
  await editor.page.keyboard.type(label);
  await editor.press('Enter');
}

describe('the keyboard alone', () => {
  const bench = workbench({ 'latents.lua': latents });

  bench.test('builds, connects, runs and saves a graph of three nodes', async () => {
    const editor = await bench.open('latents.lua');
    await editor.press('Control+a', 'Delete');
    await editor.page.getByRole('region', { name: 'Start' }).waitFor();
    await editor.press('Shift+A');
    await editor.choose('empty latent');
    await editor.says('Added Empty latent.');
    await editor.press('Shift+A'); // with a node selected: what fits after it, connected
    await editor.choose('slice latent');
    await editor.says('Added Slice latent, connected.');
    await editor.link('Empty latent output latent to Slice latent input latent').waitFor({ state: 'attached' });

    await editor.press('Escape');
    await editor.press('Shift+A');
    await editor.search.getByRole('combobox').waitFor();
    await editor.choose('save tensor');
    await editor.node('Save tensor').waitFor();
    if (!(await editor.link('Slice latent output latent to Save tensor input value').count())) {
      await tabTo(editor, /^Connect input value to$/);
      await choose(editor, 'Slice');
    }
    await editor.link('Slice latent output latent to Save tensor input value').waitFor({ state: 'attached' });

    await tabTo(editor, /^parameter path$/);
    await editor.press('Control+a');
    await editor.page.keyboard.type('keys.safetensors');
    await editor.press('Control+Enter');
    await editor.reaches('Save tensor', 'done');
    await editor.press('Control+s');
    await editor.page.getByRole('dialog').waitFor();
    await editor.press('Control+a');
    await editor.page.keyboard.type('keys.lua');
    await editor.press('Enter');
    await editor.says('Saved keys.lua.');
    assert.match(bench.server.read('keys.lua'), /keys\.safetensors/);
  });

  bench.test('a search opened before the new node is drawn stays open', async () => {
    const editor = await bench.open('latents.lua');
    await editor.press('Control+a', 'Delete', 'Shift+A');
    await editor.search.getByRole('combobox').fill('empty latent');
    await editor.search.getByRole('option').first().waitFor();
    await Promise.all([editor.press('Enter'), editor.press('Shift+A')]);
    await editor.node('Empty latent').waitFor();
    await editor.page.evaluate(() => new Promise((drawn) => setTimeout(drawn, 500)));
    assert.ok(await editor.search.getByRole('combobox').isVisible());
  });

  bench.test('walks the nodes and along their links', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Empty latent');
    await editor.press('Control+ArrowRight');
    await editor.inspector.getByRole('heading', { name: 'Slice latent' }).waitFor();
    await editor.press('Control+ArrowLeft');
    await editor.inspector.getByRole('heading', { name: 'Empty latent' }).waitFor();
    const before = await editor.node('Empty latent').boundingBox();
    await editor.press('ArrowDown');
    await editor.says(/^Moved Empty latent to -?\d+, -?\d+\.$/);
    await eventually(async () => assert.ok((await editor.node('Empty latent').boundingBox()).y > before.y));
  });

  bench.test('links come behind the nodes, are named, and Delete takes the one with the focus', async () => {
    const editor = await bench.open('latents.lua');
    const name = 'Slice latent output latent to Save tensor input value';
    await editor.select('Save tensor');
    await tabTo(editor, new RegExp(`^${name}$`));
    const after = await editor.page.evaluate(() =>
      [...document.querySelectorAll('[aria-roledescription=node]')].every(
        (node) => node.compareDocumentPosition(document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING));
    assert.ok(after, 'all nodes come before it');
    await editor.shot('link-focused');
    await editor.press('Control+ArrowLeft');
    await editor.inspector.getByRole('heading', { name: 'Slice latent' }).waitFor();
    await tabTo(editor, new RegExp(`^${name}$`));
    await editor.press('Delete');
    await editor.unlinked(name);
    await editor.says('Disconnected input value.');
    await editor.node('Slice latent').waitFor(); // it was selected, and stays
    await editor.press('Control+z');
    await editor.link(name).waitFor({ state: 'attached' });
  });

  bench.test('letters act on the canvas, not in fields', async () => {
    const editor = await bench.open('latents.lua');
    await editor.field('Text value').fill('');
    await editor.page.keyboard.type('qgnci?');
    assert.equal(await editor.field('Text value').inputValue(), 'qgnci?');
    assert.ok(await editor.panel.isHidden());
    await editor.clear();
    await editor.press('q');
    await editor.panel.getByRole('tab', { name: 'Queue', selected: true }).waitFor();
  });

  bench.test('dialogs keep the focus, Escape gives it back', async () => {
    const editor = await bench.open('latents.lua');
    await editor.clear();
    await editor.press('?');
    const keys = editor.dialog('Keys');
    await keys.getByRole('row', { name: /Undo/ }).waitFor();
    await editor.shot('keys');
    for (let i = 0; i < 12; i++) {
      await editor.press('Tab');
      const inside = await editor.page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null);
      assert.ok(inside, `after ${i + 1} tabs the focus is on ${await focused(editor.page)}`);
    }
    await editor.press('Escape');
    await keys.waitFor({ state: 'detached' });

    await editor.button('Open…').focus();
    await editor.press('Enter');
    await editor.dialog('Open').waitFor();
    await editor.press('Escape');
    await eventually(async () => assert.equal(await focused(editor.page), 'Open…'));
  });
});
