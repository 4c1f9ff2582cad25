// touch.test.mjs - fingers on a tablet, 820 x 1180: sockets are tapped, panels are sheets over the canvas.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { center, eventually } from './editor.mjs';
import { latents } from './graphs.mjs';
import { workbench } from './harness.mjs';

const tablet = { width: 820, height: 1180, hasTouch: true, isMobile: true };

describe('touch', () => {
  const bench = workbench({ 'latents.lua': latents });

  bench.test('one socket is tapped, then another: they are connected', async () => {
    const editor = await bench.open('latents.lua', tablet);
    await editor.socket('Empty latent output latent').tap();
    await editor.socket('Save tensor input value').tap();
    await editor.link('Empty latent output latent to Save tensor input value').waitFor({ state: 'attached' });
  });

  bench.test('sockets are large enough for a finger', async () => {
    const editor = await bench.open('latents.lua', tablet);
    const reach = await editor.socket('Empty latent output latent').evaluate((socket) => {
      const { x, y, width, height } = socket.getBoundingClientRect();
      const hits = (dx, dy) => document.elementFromPoint(x + width / 2 + dx, y + height / 2 + dy)?.closest('[role=button]') === socket;
      return [[11, 0], [-11, 0], [0, 11], [0, -11]].map(([dx, dy]) => hits(dx, dy));
    });
    assert.deepEqual(reach, [true, true, true, true], 'a tap 11 pixels off the middle still hits it');
  });

  bench.test('far away, too: a tap beside a small socket is for the nearest', async () => {
    const editor = await bench.open('latents.lua', tablet);
    for (let i = 0; i < 4; i++) await editor.button('Zoom out').tap();
    await editor.settled();
    const beside = async (name, dx, dy) => {
      const { x, y } = await center(editor.socket(name));
      await editor.page.touchscreen.tap(x + dx, y + dy);
    };
    const { height } = await editor.socket('Save tensor input value').boundingBox();
    assert.ok(height < 24, `drawn ${height} pixels high`);
    await beside('Empty latent output latent', 11, 3);
    await beside('Save tensor input value', -11, -3);
    await editor.link('Empty latent output latent to Save tensor input value').waitFor({ state: 'attached' });
  });

  bench.test('panels are sheets, one at a time, closed by a tap beside them', async () => {
    const editor = await bench.open('latents.lua', tablet);
    assert.ok(await editor.inspector.isHidden());
    await editor.button('Inspector').tap();
    await editor.inspector.waitFor();
    await editor.shot('sheet-inspector');
    await editor.page.touchscreen.tap(80, 800);
    await editor.inspector.waitFor({ state: 'detached' });
    await editor.button('Left panel').tap();
    await editor.panel.waitFor();
    await editor.shot('sheet-nodes');
  });

  bench.test('a node follows the finger', async () => {
    const editor = await bench.open('latents.lua', tablet);
    const before = await editor.node('Integer').boundingBox();
    await editor.node('Integer').getByText('Integer', { exact: true }).tap();
    const session = await editor.page.context().newCDPSession(editor.page);
    const [x, y] = [before.x + before.width / 2, before.y + 10];
    const touch = (type, dx) => session.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: x + dx, y: y + dx }] });
    await touch('touchStart', 0);
    for (const dx of [10, 30, 60]) await touch('touchMove', dx);
    await touch('touchEnd');
    await eventually(async () => {
      const after = await editor.node('Integer').boundingBox();
      assert.ok(after.x - before.x > 10, `moved by ${after.x - before.x}`);
    });
  });
});
