// panels.test.mjs - models, memory, keys that a person changes, hidden links, graphs to choose from, nodes nobody knows.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center, eventually } from './editor.mjs';
import { latents, textToVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

describe('panels', () => {
  const bench = workbench({ 'latents.lua': latents, 'text_to_video.lua': textToVideo });

  bench.test('model files are listed by kind, and put into the graph', async () => {
    const editor = await bench.open('latents.lua');
    const panel = await editor.tab('Models');
    const vae = panel.getByRole('region', { name: 'vae', exact: true });
    await editor.shot('models');
    await vae.getByRole('button', { name: 'Add tubelet-tiny to the graph' }).click();
    await eventually(async () => assert.equal(await editor.field('Load VAE vae_name').inputValue(), 'tubelet-tiny'));
  });

  bench.test('memory is shown, and freed', async () => {
    const editor = await bench.open('latents.lua');
    const panel = await editor.tab('Store');
    const memory = panel.getByRole('region', { name: 'Memory' });
    await memory.getByRole('meter', { name: 'Memory in use' }).waitFor();
    await memory.getByText(/free of .*; a run may take/).waitFor();
    await memory.getByRole('button', { name: 'Free memory' }).click();
    await editor.says('Memory is freed as soon as nothing needs it.');
  });

  bench.test('a command gets another key, which the browser keeps', async () => {
    const editor = await bench.open('latents.lua');
    await editor.clear();
    await editor.press('?');
    const keys = editor.dialog('Keys');
    await keys.getByRole('button', { name: 'Key of Mute: Ctrl+M' }).click();
    await editor.press('Control+Shift+KeyU');
    await keys.getByRole('status').filter({ hasText: 'Mute: Ctrl+Shift+U.' }).waitFor();
    await keys.getByRole('button', { name: /^Key of Bypass/ }).click();
    await editor.press('Control+s'); // is not obeyed, but taken
    await keys.getByRole('status').filter({ hasText: 'Bypass: Ctrl+S. Save has lost it.' }).waitFor();
    await keys.getByRole('button', { name: /^Key of Collapse/ }).click();
    await editor.press('Control+t');
    await keys.getByRole('status').filter({ hasText: 'That key belongs to the browser' }).waitFor();
    await editor.shot('keys-changed');
    await editor.press('Escape');
    await keys.waitFor({ state: 'detached' });
    await editor.page.reload();
    await editor.opened('latents.lua');
    await editor.select('Text');
    await editor.press('Control+Shift+KeyU');
    await editor.reaches('Text', 'muted');
    await editor.press('Control+m');
    await editor.clear();
    await editor.press('?');
    await keys.getByRole('button', { name: 'Reset all keys' }).click();
    await keys.getByRole('button', { name: 'Key of Mute: Ctrl+M' }).waitFor();
  });

  bench.test('links are hidden but for those of what is selected', async () => {
    const editor = await bench.open('latents.lua');
    await editor.clear();
    const shown = () => editor.canvas.evaluate((canvas) =>
      [...canvas.querySelectorAll('[aria-roledescription=edge]')].filter((link) => getComputedStyle(link.querySelector('path')).visibility === 'visible').length);
    assert.equal(await shown(), 4);
    await editor.press('Alt+l');
    await editor.says('Links are hidden, but for those of what is selected.');
    await eventually(async () => assert.equal(await shown(), 0));
    await editor.select('Empty latent');
    await eventually(async () => assert.equal(await shown(), 1));
    await editor.press('Alt+l');
    await eventually(async () => assert.equal(await shown(), 4));
  });

  bench.test('a link is led around something, and the way is saved', async () => {
    const editor = await bench.open('latents.lua');
    const [from, to] = [await center(editor.socket('Slice latent output latent')), await center(editor.socket('Save tensor input value'))];
    const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
    await editor.page.mouse.dblclick(middle.x, middle.y);
    const bends = editor.canvas.locator('circle[cx].bend');
    await bends.waitFor();
    const drawn = await center(bends);
    assert.ok(Math.hypot(drawn.x - middle.x, drawn.y - middle.y) < 4, 'it is where the link was pressed');
    await editor.drag(bends, { x: middle.x + 10, y: middle.y + 80 });
    await eventually(async () => assert.ok((await center(bends)).y > middle.y + 60));
    const lua = await editor.lua();
    assert.match(lua, /bends = \{ value = \{ \{ -?\d+, -?\d+ \} \} \}/);
    await editor.shot('bend');
    bench.server.write('bent.lua', lua);
    const again = await bench.open('bent.lua');
    assert.equal(await again.lua(), lua);
    await editor.canvas.locator('circle[cx].bend').dblclick();
    await bends.waitFor({ state: 'detached' });
    await editor.clear();
    await editor.press('Control+z', 'Control+z', 'Control+z');
    await eventually(async () => assert.ok(await editor.button('Undo').isDisabled()));
  });

  bench.test('Run runs several times, and by itself on a change', async () => {
    const editor = await bench.open('latents.lua');
    const queue = await editor.tab(/^Queue/);
    const runs = async () => (await (await fetch(new URL('/api/tubelet/runs', editor.page.url()))).json()).runs.filter((run) => run.state === 'done').length;
    await queue.getByRole('spinbutton', { name: /times/ }).fill('3');
    await editor.run();
    await eventually(async () => assert.equal(await runs(), 3));
    await queue.getByRole('spinbutton', { name: /times/ }).fill('1');
    await queue.getByRole('checkbox', { name: 'on change' }).check();
    await editor.field('Save tensor name').fill('other');
    await editor.press('Tab');
    await eventually(async () => assert.equal(await runs(), 4));
    await queue.getByRole('checkbox', { name: 'on change' }).uncheck();
  });

  bench.test('the minimap comes and goes', async () => {
    const editor = await bench.open('latents.lua');
    const map = editor.canvas.getByRole('img', { name: 'Minimap' });
    await map.waitFor();
    await editor.clear();
    await editor.press('Alt+m');
    await map.waitFor({ state: 'detached' });
    await editor.press('Alt+m');
    await map.waitFor();
  });

  bench.test('a group stands for what is in it', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Text');
    await editor.press('Control+g');
    await editor.menu(editor.canvas.getByLabel('Group title').locator('..'), 'Mute');
    await editor.reaches('Text', 'muted');
  });

  bench.test('graphs to open show their outline', async () => {
    const editor = await bench.open('latents.lua');
    await editor.press('Control+o');
    const entry = editor.dialog('Open').getByRole('button', { name: /^latents\.lua/ });
    await eventually(async () => assert.equal(await entry.locator('rect').count(), 6));
    const example = editor.dialog('Open').getByRole('list', { name: 'Examples' }).getByRole('button').first();
    await example.locator('rect').first().waitFor({ state: 'attached' });
    await editor.shot('open-outlines');
  });

  bench.test('a file with nodes that nobody knows says which', async () => {
    const editor = await bench.open('latents.lua');
    const graph = { 1: { class_type: 'NoSuchNode', inputs: {} }, 2: { class_type: 'empty_latent', inputs: {} } };
    await editor.drop('foreign.json', Buffer.from(JSON.stringify(graph)), 'application/json');
    const notice = editor.page.getByRole('status').filter({ hasText: 'This server has no node type NoSuchNode' });
    await notice.getByRole('button', { name: 'Show' }).click();
    await editor.inspector.getByRole('heading', { name: 'NoSuchNode' }).waitFor();
  });
});
