// files.test.mjs - graphs are saved as Lua that runs, opened again the same, and never lost: not to another hand on the
// file, not to a closed tab.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { graph, latents, textToVideo } from './graphs.mjs';
import { tubelet, workbench } from './harness.mjs';

const literal = graph(`return tb.save_tensor { value = tb.empty_latent { frames = 5 }, path = "five.safetensors" }`);

const plain = (frames) =>
  JSON.stringify({
    empty_latent: { class_type: 'empty_latent', inputs: { frames } },
    save_tensor: { class_type: 'save_tensor', inputs: { value: ['empty_latent', 0], path: 'five.safetensors' } },
  });

async function saveAs(editor, name) {
  await editor.press('Control+s');
  const dialog = editor.page.getByRole('dialog');
  await dialog.getByLabel('File below the graphs folder').fill(name);
  await editor.shot('save');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await editor.says(`Saved ${name}.`);
}

const wants = `local tb = require "tubelet"

return tb.graph {
  params = { image = tb.path { doc = "The picture." }, width = tb.int { default = 32 } },
  build = function(p)
    return tb.save_image { images = tb.load_image { path = p.image, width = p.width }, path = "small.png" }
  end,
}
`;

describe('files', () => {
  const bench = workbench({ 'wants.lua': wants, 'latents.lua': latents, 'text_to_video.lua': textToVideo, 'literal.lua': literal, 'mine.lua': literal, 'plain.json': plain(5) });

  bench.test('a graph whose picture is not named yet is shown, and says what to fill in', async () => {
    const editor = await bench.open('wants.lua');
    await editor.planned('Fill in: image');
    await editor.node('Load image').waitFor();
    await editor.shot('fill-in');
    const width = editor.inspector.getByLabel('parameter width');
    await width.fill('48');
    await width.press('Enter');
    await eventually(async () => assert.equal(await editor.field('Load image width').inputValue(), '48'));
    const image = editor.inspector.getByRole('textbox', { name: 'parameter image' });
    await image.fill('not_there.png');
    await image.press('Enter');
    await editor.planned("there is no file 'not_there.png'");
  });

  bench.test('a new graph is saved as Lua, runs from the command line, and opens the same', async () => {
    const editor = await bench.open('latents.lua');
    await editor.fileMenu('New graph');
    await editor.clear();
    await editor.press('Shift+A');
    await editor.choose('empty latent');
    await editor.press('Shift+A');
    await editor.choose('save tensor');
    await editor.connect('Empty latent output latent', 'Save tensor input value');
    await editor.field('Save tensor path').fill('saved.safetensors');
    await editor.select('Empty latent');
    await editor.press('p');
    await saveAs(editor, 'made/by_hand.lua');
    const before = await editor.lua();

    const file = join(bench.server.graphs, 'made/by_hand.lua');
    assert.match(bench.server.read('made/by_hand.lua'), /tb\.save_tensor/);
    assert.match(await tubelet('run', file, '--plan', '--store', join(bench.server.folder, 'other')), /2 nodes/);

    await editor.page.reload();
    await editor.opened('by_hand.lua');
    assert.equal(await editor.lua(), before, 'the same after a reload');
    const again = await bench.open('made/by_hand.lua');
    assert.equal(await again.lua(), before, 'the same in another browser');
    await again.link('Empty latent output latent to Save tensor input value').waitFor({ state: 'attached' });
  });

  bench.test('a program is not replaced by the list of its nodes', async () => {
    const editor = await bench.open('text_to_video.lua');
    await editor.field('Sample cfg').fill('4');
    await editor.press('Tab');
    await editor.button('Save').click();
    await editor.dialog('Save as a new file').getByText('text_to_video.lua is a program').waitFor();
    await editor.shot('save-program');
    await editor.dialog('Save as a new file').getByRole('button', { name: 'Save' }).click();
    await editor.says('Saved text_to_video_edited.lua.');
    assert.equal(bench.server.read('text_to_video.lua'), textToVideo);
    assert.match(bench.server.read('text_to_video_edited.lua'), /cfg = 4/);
  });

  bench.test('all that a graph holds comes back: large seeds, modes, looks, groups, folded scopes', async () => {
    const _meta = (pos, more) => ({ pos, ...more });
    const document = {
      graph: {
        'a/noise': { class_type: 'latent_noise', inputs: { latent: ['b', 0], seed: 1 }, _meta: _meta([0, 0], { title: 'say "noise"', colour: '#5273b5', seeds: { seed: 'increment' } }) },
        b: { class_type: 'empty_latent', inputs: { frames: 5 }, _meta: _meta([-300, 40], { pinned: true, size: [256, 200] }) },
        c: { class_type: 'latent_slice', inputs: { latent: ['a/noise', 0], start: 0, count: 0 }, _meta: _meta([300, 0], { mode: 'bypass' }) },
        d: { class_type: 'save_tensor', inputs: { value: ['c', 0], path: 'd.safetensors' }, _meta: _meta([600, 0], { mode: 'mute', collapsed: true }) },
        e: { class_type: 'save_tensor', inputs: { value: ['c', 0], path: 'e.safetensors' }, _meta: _meta([600, 200]) },
      },
      view: { groups: [{ id: '1', title: 'All "of" it', box: [-320, -40, 700, 400], colour: '#b0605c' }], folded: { a: false } },
    };
    const text = JSON.stringify(document).replace('"seed":1', '"seed":9007199254740993');
    bench.server.write('whole.json', text);
    const editor = await bench.open('whole.json');
    const seed = editor.field('say "noise" seed');
    assert.equal(await seed.inputValue(), '9007199254740993', 'not rounded');
    await seed.focus();
    await editor.press('ArrowUp', 'Tab');
    await eventually(async () => assert.equal(await seed.inputValue(), '9007199254740994'));
    const before = await editor.lua();
    for (const part of [/seed = 9007199254740994/, /mode = "bypass"/, /mode = "mute"/, /All \\"of\\" it/, /pinned = true/, /collapsed = true/, /seeds = \{ seed = "increment" \}/, /#5273b5/]) {
      assert.match(before, part);
    }
    bench.server.write('whole.lua', before);
    const again = await bench.open('whole.lua');
    assert.equal(await again.lua(), before, 'Lua, document, Lua: the same text');
    await again.press('Control+s'); // no question: nothing would be lost
    await again.says('Saved whole.lua.');
    assert.equal(bench.server.read('whole.lua'), before);
    await again.clear();
    await again.press('Control+a', 'Control+c', 'Delete', 'Control+v');
    const pasted = again.field('say "noise" seed');
    await eventually(async () => assert.equal(await pasted.inputValue(), '9007199254740994'));
    await pasted.fill('18446744073709551614');
    await again.press('ArrowUp', 'ArrowUp', 'Tab'); // as far as seeds go
    assert.match(await again.lua(), /seed = "18446744073709551615"/);
  });

  bench.test('the Lua text makes the very graph it was made from', async () => {
    const editor = await bench.open('text_to_video.lua');
    await editor.field('Sample steps').fill('7');
    await editor.press('Tab');
    const { name, text } = await editor.downloaded(() => editor.fileMenu('Download as Lua'));
    assert.equal(name, 'text_to_video.lua');
    bench.server.write('round.lua', text);
    const round = await bench.open('round.lua');
    assert.equal(await round.lua(), text);
    assert.equal(await round.field('Sample steps').inputValue(), '7');
  });

  bench.test("ComfyUI's format is exported", async () => {
    const editor = await bench.open('literal.lua');
    const { name, text } = await editor.downloaded(() => editor.fileMenu('Export (API)'));
    assert.equal(name, 'literal.json');
    const { class_type, inputs, _meta } = JSON.parse(text).empty_latent;
    assert.deepEqual([class_type, _meta], ['empty_latent', { title: 'Empty latent' }]);
    assert.deepEqual([inputs.frames, inputs.batch], [5, 1], 'the values that are its own, and those untouched');
  });

  bench.test('a name that is taken is asked about', async () => {
    const editor = await bench.open('latents.lua');
    await editor.fileMenu('New graph');
    await editor.clear();
    await editor.press('Shift+A');
    await editor.choose('empty latent');
    bench.expectComplaints(/409/);
    await editor.press('Control+s');
    await editor.page.getByRole('dialog').getByLabel('File below the graphs folder').fill('mine.lua');
    await editor.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await editor.dialog('There is such a file').getByRole('button', { name: 'Cancel' }).click();
    assert.equal(bench.server.read('mine.lua'), literal);
  });

  bench.test('a file that changes on disk is loaded again', async () => {
    const editor = await bench.open('latents.lua');
    assert.equal(await editor.field('Integer value').inputValue(), '1');
    bench.server.write('latents.lua', latents.replace('value = 1', 'value = 22'));
    await eventually(async () => assert.equal(await editor.field('Integer value').inputValue(), '22'));
  });

  bench.test('with changes here too, it asks', async () => {
    const editor = await bench.open('plain.json');
    await editor.field('Empty latent frames').fill('13');
    await editor.press('Tab');
    bench.server.write('plain.json', plain(21));
    const notice = editor.page.getByRole('status').filter({ hasText: 'plain.json changed on disk, and here too.' });
    await notice.waitFor();
    await editor.shot('changed-on-disk');
    assert.equal(await editor.field('Empty latent frames').inputValue(), '13', 'mine is still there');
    await notice.getByRole('button', { name: 'Keep mine' }).click();

    bench.expectComplaints(/409/);
    await editor.press('Control+s');
    await editor.dialog('The file has changed on disk').getByRole('button', { name: 'Reload from disk' }).click();
    await eventually(async () => assert.equal(await editor.field('Empty latent frames').inputValue(), '21'));
  });

  bench.test('unsaved changes outlive a closed tab', async () => {
    const context = await bench.context();
    const editor = await bench.open('mine.lua', { context });
    await editor.field('Empty latent frames').fill('17');
    await editor.press('Tab');
    await editor.page.getByRole('banner').getByRole('button', { name: /unsaved changes/ }).waitFor();
    await editor.page.close();

    const again = await bench.open('mine.lua', { context });
    const notice = again.page.getByRole('status').filter({ hasText: 'There are unsaved changes of mine.lua' });
    await notice.getByRole('button', { name: 'Restore them' }).click();
    await eventually(async () => assert.equal(await again.field('Empty latent frames').inputValue(), '17'));
  });

  bench.test('the list of graphs opens one of them', async () => {
    const editor = await bench.open('latents.lua');
    await editor.press('Control+o');
    await editor.dialog('Open').getByRole('list', { name: 'Graphs' }).getByRole('button', { name: /^text_to_video\.lua/ }).waitFor();
    await editor.shot('open');
    await editor.dialog('Open').getByRole('button', { name: /^mine\.lua/ }).click();
    await editor.opened('mine.lua');
    assert.ok(!existsSync(join(bench.server.graphs, '..', 'mine.lua')), 'nothing lands beside the folder');
  });
});
