// editor.mjs - the editor as hands and ears know it: things are found by role and spoken name, never by how they are
// made, and what is waited for is a state, never a time.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const shots = process.env.TUBELET_SHOTS; // a folder: keep a picture of each state
const patience = 20; // seconds

const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Runs a check until it holds; fails with its last failure. */
export async function eventually(check, seconds = patience) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await check();
    } catch (failure) {
      if (Date.now() > end) throw failure;
    }
    await new Promise((done) => setTimeout(done, 40));
  }
}

export async function center(locator) {
  const box = await locator.boundingBox();
  assert.ok(box, `${locator} is drawn`);
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

export class Editor {
  constructor(page) {
    this.page = page;
    this.canvas = page.getByRole('main', { name: 'Graph' });
    this.inspector = page.getByRole('complementary', { name: 'Inspector' });
    this.panel = page.getByRole('complementary', { name: 'Nodes, queue and results' });
    this.plan = page.getByRole('status', { name: 'Plan' });
    this.search = page.getByRole('dialog', { name: 'Add a node' });
  }

  // ------------------------------------------------------------------------------------------------------- what is seen

  /** A node, group or scope of the canvas by its title; `state` of what is said after it. */
  node(title, state = '') {
    return this.canvas.getByRole('group', { name: new RegExp(`^${literal(title)}${state ? ` ?,.*(${state})` : '( ?,|$)'}`) });
  }

  /** "Sample input latent" */
  socket(name) {
    return this.canvas.getByRole('button', { name: new RegExp(`^${literal(name)}, `) });
  }

  /** A link as it is spoken: "A output x to B input y". */
  link(name) {
    return this.canvas.getByRole('button', { name, exact: true });
  }

  /** Waits until there is no such link. */
  async unlinked(name) {
    await this.link(name).waitFor({ state: 'detached' });
  }

  /** A field on a node: "Sample steps". */
  field(name) {
    return this.canvas.getByLabel(name, { exact: true });
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  dialog(name) {
    return this.page.getByRole('dialog', { name });
  }

  /** Waits until the document's name is that of this file, and its nodes are drawn. */
  async opened(file) {
    const name = new RegExp(`^${literal(basename(file))}`);
    await this.page.getByRole('banner').getByRole('button', { name }).waitFor();
    await this.canvas.getByRole('group').first().waitFor();
    await this.settled();
  }

  /** The view stands still: what the mouse aims at stays where it is. */
  async settled() {
    let before = '';
    await eventually(async () => {
      const boxes = await this.canvas.getByRole('group').evaluateAll((nodes) =>
        nodes.slice(0, 4).map((node) => Object.values(node.getBoundingClientRect().toJSON()).map(Math.round)).join());
      const same = boxes !== '' && boxes === before;
      before = boxes;
      assert.ok(same, 'the view moves');
      await new Promise((done) => setTimeout(done, 80));
    });
  }

  /** Waits until this is announced, or told in a notice. */
  async says(text) {
    await this.page.getByRole('status').or(this.page.getByRole('alert')).filter({ hasText: text }).first().waitFor({ state: 'attached' });
  }

  async planned(text) {
    await this.plan.filter({ hasText: text }).waitFor();
  }

  async nodeCount() {
    return this.canvas.getByRole('group', { name: /^(?!scope |group )/ }).count();
  }

  // ------------------------------------------------------------------------------------------------------------- hands

  /** Keys that act while nothing is being typed. */
  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The focus goes to the canvas itself: no field is being typed in, nothing is selected. */
  async clear() {
    await this.page.keyboard.press('Escape');
    const { x, y } = await this.emptySpot();
    await this.page.mouse.click(x, y);
  }

  /** A place of the canvas where nothing is, on the screen. */
  async emptySpot() {
    const { x, y, width } = await this.canvas.boundingBox();
    return { x: x + width / 2, y: y + 40 };
  }

  /** A click on the title of a node: it is selected. */
  async select(title, options) {
    await this.node(title).getByText(title, { exact: true }).first().click(options);
  }

  /** A drag as a hand makes it: move, press, move in steps, release. */
  async drag(from, to, { button = 'left', steps = 8 } = {}) {
    const { mouse } = this.page;
    const a = 'x' in from ? from : await center(from);
    const b = 'x' in to ? to : await center(to);
    await mouse.move(a.x, a.y);
    await mouse.down({ button });
    await mouse.move(b.x, b.y, { steps });
    await mouse.up({ button });
  }

  async connect(output, input) {
    await this.drag(this.socket(output), this.socket(input));
  }

  /** A command of the menu that the right button opens. */
  async menu(target, command) {
    await target.click({ button: 'right' });
    await this.page.getByRole('menu').getByRole('menuitem', { name: command }).click();
  }

  async fileMenu(command) {
    await this.page.getByRole('banner').locator('[aria-haspopup=menu]').click();
    await this.page.getByRole('menu', { name: 'File' }).getByRole('menuitem', { name: command }).click();
  }

  /** Adds a node by typing into the search that is open. */
  async choose(query) {
    await this.search.getByRole('combobox').fill(query);
    await this.search.getByRole('option').first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.search.waitFor({ state: 'detached' });
  }

  async tab(name) {
    if (await this.panel.isHidden()) await this.button('Left panel').click();
    await this.panel.getByRole('tab', { name }).click();
    return this.panel.getByRole('tabpanel');
  }

  /** A file is dropped on the canvas. */
  async drop(name, bytes, type = 'application/octet-stream') {
    const transfer = await this.page.evaluateHandle(
      ([file, base64, mime]) => {
        const data = new DataTransfer();
        const content = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        data.items.add(new File([content], file, { type: mime }));
        return data;
      },
      [name, Buffer.from(bytes).toString('base64'), type],
    );
    const at = await center(this.canvas);
    for (const event of ['dragenter', 'dragover', 'drop']) {
      await this.canvas.dispatchEvent(event, { dataTransfer: transfer, clientX: at.x, clientY: at.y });
    }
  }

  // -------------------------------------------------------------------------------------------------------------- files

  async downloaded(press) {
    const [download] = await Promise.all([this.page.waitForEvent('download'), press()]);
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') };
  }

  /** The whole document as the Lua file it would be saved as. */
  async lua() {
    return (await this.downloaded(() => this.fileMenu('Download as Lua'))).text;
  }

  // --------------------------------------------------------------------------------------------------------------- runs

  /** Queues the graph; the id of the run. */
  async run() {
    const [answer] = await Promise.all([
      this.page.waitForResponse((response) => response.url().endsWith('/api/tubelet/runs') && response.request().method() === 'POST'),
      this.page.getByRole('button', { name: /^Run\b(?! to)/ }).first().click(),
    ]);
    return (await answer.json()).prompt_id;
  }

  /** Runs the graph to its end: what the nodes show is not of a run before. */
  async runToEnd() {
    const id = await this.run();
    await eventually(async () => {
      const answer = await fetch(new URL(`/api/tubelet/runs/${id}`, this.page.url()));
      assert.equal((await answer.json()).state, 'done');
    });
  }

  /** Waits until a node has come to this: "done", "from cache", "error". */
  async reaches(title, state) {
    await this.node(title, state).waitFor();
  }

  /** Keeps a picture of this state, when asked to. */
  async shot(name) {
    if (!shots) return;
    mkdirSync(shots, { recursive: true });
    const { width, height } = this.page.viewportSize();
    await this.page.screenshot({ path: join(shots, `${name}-${width}x${height}.png`) });
  }
}
