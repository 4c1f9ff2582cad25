// looks.test.mjs - states and panels, dark and light, on a desktop and on a tablet: what carries meaning is there in
// each, nothing is cut off, and a picture of each is kept when TUBELET_SHOTS names a folder.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { eventually } from './editor.mjs';
import { latents, quickVideo } from './graphs.mjs';
import { workbench } from './harness.mjs';

const sizes = { desktop: { width: 1280, height: 720 }, tablet: { width: 820, height: 1180, hasTouch: true, isMobile: true } };

/** Contrast of the text of an element with what is behind it (WCAG 2). */
const contrast = (locator) =>
  locator.evaluate((element) => {
    const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const light = (rgb) => {
      const [r, g, b] = rgb.map((value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 1) behind = behind.parentElement;
    const [a, b] = [parse(getComputedStyle(element).color), parse(getComputedStyle(behind ?? document.body).backgroundColor)].map((rgb) => light(rgb.slice(0, 3)));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });

describe('looks', () => {
  const bench = workbench({ 'latents.lua': latents, 'quick.lua': quickVideo });

  bench.test('muted and bypassed nodes say so, and links pass through', async () => {
    const editor = await bench.open('latents.lua');
    await editor.select('Slice latent');
    await editor.press('Control+b');
    await editor.reaches('Slice latent', 'bypassed');
    await editor.says('1 node bypassed.');
    await editor.select('Blend latents');
    await editor.press('Control+m');
    await editor.reaches('Blend latents', 'muted');
    await editor.shot('muted-bypassed');
    await editor.runToEnd();
    await editor.reaches('Save tensor', 'done');
    await editor.select('Slice latent');
    await editor.press('Control+b');
    await editor.node('Slice latent', 'bypassed').waitFor({ state: 'detached' });
  });

  for (const scheme of ['light', 'dark']) {
    bench.test(`text can be read when it is ${scheme}`, async () => {
      const editor = await bench.open('quick.lua', { colorScheme: scheme });
      await editor.runToEnd();
      await editor.reaches('Save video', 'done|from cache');
      await editor.shot(`nodes-${scheme}`);
      const texts = [editor.plan, editor.inspector.getByRole('heading').first(), editor.node('Sample').getByText('Sample', { exact: true }).first(), editor.node('Sample').getByText('scheduler').first()];
      for (const text of texts) {
        const found = await contrast(text);
        assert.ok(found >= 4.5, `${text}: ${found.toFixed(2)} to 1`);
      }
      await editor.button('Dark or light').click();
      const turned = await editor.page.evaluate(() => document.documentElement.dataset.theme);
      assert.equal(turned, scheme === 'dark' ? 'light' : 'dark');
    });
  }

  for (const [name, size] of Object.entries(sizes)) {
    bench.test(`every panel fits a ${name}`, async () => {
      const editor = await bench.open('quick.lua', size);
      await editor.runToEnd();
      await editor.reaches('Save video', 'done|from cache');
      const fits = async (what) => {
        const wide = await editor.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${what} is ${wide} pixels too wide`);
        await editor.shot(`${name}-${what}`);
      };
      await fits('page');
      for (const tab of ['Nodes', 'Queue', 'Gallery', 'Store']) {
        await editor.tab(tab);
        await fits(tab.toLowerCase());
      }
      await editor.button('Left panel').click({ force: true }).catch(() => {});
      await editor.page.getByRole('button', { name: /^Steps/ }).click({ force: true });
      await eventually(async () => assert.ok(await editor.page.getByRole('region', { name: 'Steps of the run' }).isVisible()));
      await fits('steps');
      await editor.page.getByRole('button', { name: 'Close the steps' }).click();
      await editor.button('List of keys').click();
      await editor.dialog('Keys').waitFor();
      await fits('keys');
    });
  }
});
