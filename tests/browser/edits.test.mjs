// edits.test.mjs - every kind of edit changes the document, is undone, and is done again.
//
// The document is compared as the Lua file it would be saved as: it holds all that an edit can change.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center, eventually } from './editor.mjs';
import { graph, latents, quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

const scoped = graph(`tb.empty_latent { id = "row/a" }
return tb.save_tensor { value = tb.latent_slice { id = "row/b", latent = tb.empty_latent { id = "row/c" } }, path = "x.safetensors" }`);

const parametric = `local tb = require "tubelet"
return tb.graph {
  params = { frames = tb.int { default = 5, min = 1, max = 99, doc = "How many." } },
  build = function(p) return tb.save_tensor { value = tb.empty_latent { frames = p.frames }, path = "x.safetensors" } end,
}
`;

/** Each by the hands or keys a person would use. */
const kinds = {
  'add a node': async (editor) => {
    await editor.clear();
    await editor.press('Shift+A');
    await editor.choose('flow shift');
  },
  'delete a node': async (editor) => {
    await editor.select('Blend latents');
    await editor.press('Delete');
  },
  'connect': (editor) => editor.connect('Empty latent output latent', 'Save tensor input value'),
  'disconnect': async (editor) => editor.drag(editor.socket('Slice latent input latent'), await editor.emptySpot()),
  'a number': async (editor) => {
    await editor.field('Empty latent width').fill('128');
    await editor.press('Tab');
  },
  'a text, typed letter by letter': async (editor) => {
    await editor.field('Text value').click();
    await editor.page.keyboard.type(' and more');
    await editor.press('Tab');
  },
  'a choice': (editor) => editor.field('Slice latent axis').selectOption('height'),
  'move by hand': async (editor) => {
    const at = await center(editor.node('Integer').getByText('Integer', { exact: true }));
    await editor.drag(at, { x: at.x + 90, y: at.y + 30 });
  },
  'move by keys': async (editor) => {
    await editor.select('Integer');
    await editor.press('ArrowRight', 'ArrowRight', 'ArrowDown');
  },
  'rename': async (editor) => {
    await editor.select('Integer');
    await editor.press('F2');
    await editor.page.getByRole('textbox', { name: 'Title', exact: true }).fill('my number');
    await editor.press('Enter');
  },
  'mute': async (editor) => {
    await editor.select('Slice latent');
    await editor.press('Control+m');
  },
  'bypass': async (editor) => {
    await editor.select('Slice latent');
    await editor.press('Control+b');
  },
  'collapse': async (editor) => {
    await editor.select('Slice latent');
    await editor.press('Alt+c');
  },
  'pin': async (editor) => {
    await editor.select('Slice latent');
    await editor.press('p');
  },
  'colour': async (editor) => {
    await editor.select('Slice latent');
    await editor.inspector.getByRole('group', { name: 'Colour' }).getByRole('button').nth(3).click();
  },
  'group': async (editor) => {
    await editor.select('Text');
    await editor.press('Control+g');
  },
  'align': async (editor) => {
    await editor.select('Text');
    await editor.select('Slice latent', { modifiers: ['Shift'] });
    await editor.inspector.getByRole('button', { name: 'Align left edges' }).click();
  },
  'cut': async (editor) => {
    await editor.select('Text');
    await editor.press('Control+x');
  },
  'duplicate': async (editor) => {
    await editor.select('Slice latent');
    await editor.press('Control+d');
  },
};

async function undoneAndRedone(editor, change) {
  const before = await editor.lua();
  await change(editor);
  await editor.button('Undo').and(editor.page.locator(':enabled')).waitFor();
  const changed = await eventually(async () => {
    const text = await editor.lua();
    assert.notEqual(text, before, 'the document changes');
    return text;
  });
  await editor.button('Undo').click();
  assert.equal(await editor.lua(), before, 'undone, in one step');
  assert.ok(await editor.button('Undo').isDisabled(), 'there is nothing more to undo');
  await editor.button('Redo').click();
  assert.equal(await editor.lua(), changed, 'done again');
  await editor.button('Undo').click();
}

describe('undo and redo', () => {
  const bench = workbench({ 'latents.lua': latents, 'scoped.lua': scoped, 'parametric.lua': parametric, 'quick.lua': quickVideo });

  bench.test('of each kind of edit', async () => {
    const editor = await bench.open('latents.lua');
    for (const [name, change] of Object.entries(kinds)) {
      await undoneAndRedone(editor, change).catch((failure) => {
        throw new Error(`${name}: ${failure.message}`);
      });
    }
  });

  bench.test('of a folded scope', async () => {
    const editor = await bench.open('scoped.lua');
    await undoneAndRedone(editor, () => editor.button('Fold row').click());
  });

  bench.test("of a Lua graph's parameters", async () => {
    const editor = await bench.open('parametric.lua');
    await undoneAndRedone(editor, async () => {
      await editor.inspector.getByLabel('parameter frames').fill('9');
      await eventually(async () => assert.equal(await editor.field('Empty latent frames').inputValue(), '9'));
    });
  });

  bench.test('of an advanced input, which is on the node once it is set', async () => {
    const editor = await bench.open('quick.lua');
    await editor.select('Sample');
    assert.equal(await editor.field('Sample eta').count(), 0);
    await editor.inspector.getByRole('region', { name: 'Advanced' }).getByLabel('parameter eta').fill('0.5');
    await editor.field('Sample eta').waitFor();
    await editor.button('Undo').click();
    await editor.field('Sample eta').waitFor({ state: 'detached' });
  });

  bench.test('of an arrangement', async () => {
    const editor = await bench.open('latents.lua');
    await kinds['move by hand'](editor);
    const before = await editor.lua();
    await editor.select('Integer');
    await editor.press('Control+a', 'Shift+L');
    await editor.says('Arranged 6 nodes.');
    assert.notEqual(await editor.lua(), before);
    await editor.button('Undo').click();
    assert.equal(await editor.lua(), before);
  });

  bench.test('by keys, many steps deep', async () => {
    const editor = await bench.open('latents.lua');
    const before = await editor.lua();
    await editor.select('Integer');
    for (let i = 0; i < 20; i++) await editor.press('p');
    for (let i = 0; i < 20; i++) await editor.press('Control+z');
    assert.equal(await editor.lua(), before);
    for (let i = 0; i < 3; i++) await editor.press('Control+Shift+z');
    await editor.press('Control+z', 'Control+y');
    assert.notEqual(await editor.lua(), before, 'three steps were done again: it is pinned');
  });
});
