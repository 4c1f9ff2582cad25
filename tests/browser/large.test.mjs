// large.test.mjs - 300 nodes: opened, panned, dragged and edited. The frame rates are printed, and only a crawl fails:
// tests/bench/bench_editor.mjs measures.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center, eventually } from './editor.mjs';
import { largeGraph } from './graphs.mjs';
import { frames, workbench } from './harness.mjs';

describe('300 nodes', () => {
  const bench = workbench({ 'large.json': JSON.stringify(largeGraph(300)) });

  bench.test('are usable', async () => {
    const editor = await bench.open('large.json');
    const { mouse } = editor.page;
    const spot = await editor.emptySpot();
    const rates = {};
    rates.pan = await frames(editor.page, async () => {
      await mouse.move(spot.x, spot.y);
      await mouse.down({ button: 'middle' });
      for (let i = 0; i < 40; i++) await mouse.move(spot.x + 5 * i, spot.y + 3 * i);
      await mouse.up({ button: 'middle' });
    });
    rates.zoom = await frames(editor.page, async () => {
      for (let i = 0; i < 20; i++) await mouse.wheel(0, i < 12 ? -120 : 120);
    });
    await editor.shot('large');
    await editor.clear();
    await editor.press('Control+a');
    await editor.says('Selected 300 nodes.');
    await editor.clear();
    await editor.press('.');
    await editor.settled();
    await editor.node('node 7').first().click();
    rates.drag = await frames(editor.page, async () => {
      const box = await editor.node('node 7').first().boundingBox();
      await mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      await mouse.down();
      for (let i = 0; i < 40; i++) await mouse.move(box.x + box.width / 2 + 2 * i, box.y + box.height / 2 + i);
      await mouse.up();
    });
    await eventually(async () => assert.ok(await editor.button('Undo').isEnabled(), 'the drag is an edit'));
    await editor.press('Control+z');
    await eventually(async () => assert.ok(await editor.button('Undo').isDisabled()));

    await editor.press('Control+a'); // all of them at once: one step of undo, and none is left behind
    await editor.says('Selected 300 nodes.');
    const places = () => Promise.all([7, 18].map((i) => center(editor.node(`node ${i}`))));
    const before = await places();
    rates.all = await frames(editor.page, async () => {
      await mouse.move(before[0].x, before[0].y);
      await mouse.down();
      for (let i = 0; i < 40; i++) await mouse.move(before[0].x + 2 * i, before[0].y + i);
      await mouse.up();
    });
    await eventually(async () => {
      for (const [i, { x, y }] of (await places()).entries()) {
        const [dx, dy] = [x - before[i].x, y - before[i].y];
        assert.ok(Math.abs(dx - 78) < 4 && Math.abs(dy - 39) < 4, `moved by ${dx}, ${dy}`);
      }
    });
    await editor.press('Control+z');
    await eventually(async () => {
      for (const [i, { x, y }] of (await places()).entries()) assert.ok(Math.hypot(x - before[i].x, y - before[i].y) < 2);
    });
    await editor.clear();
    await editor.node('node 7').first().click();
    await editor.inspector.getByRole('spinbutton', { name: 'parameter start' }).fill('2');
    await editor.press('Tab', 'Control+z');
    await eventually(async () => assert.ok(await editor.button('Undo').isDisabled()));
    console.log(`300 nodes, frames a second: ${Object.entries(rates).map(([name, rate]) => `${name} ${rate.toFixed(0)}`).join(', ')}`);
    for (const [name, rate] of Object.entries(rates)) assert.ok(rate > 2, `${name}: ${rate} frames a second`);
  });
});
