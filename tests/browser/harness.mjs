// harness.mjs - the real server and the real browser, for the tests in this folder.
//
// Each test file gets a server of its own (a free port, everything below a temporary folder) and a browser; each test
// a context of its own, with nothing remembered. Anything a page writes to the console as an error, an exception, or a
// report of the content security policy fails the test that was running.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { Editor } from './editor.mjs';

export const root = process.env.TUBELET_ROOT ?? resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const program = process.env.TUBELET_BIN ?? join(root, 'build/debug/tubelet');
const environment = {
  LSAN_OPTIONS: `suppressions=${join(root, 'tests/lsan.supp')}:print_suppressions=0`,
  ...process.env,
  NO_COLOR: '1',
};

/** The first line of a stream that matches. */
function line(stream, pattern, seconds) {
  return new Promise((found, failed) => {
    let text = '';
    const timer = setTimeout(() => failed(new Error(`no line ${pattern} within ${seconds} s, only: ${text}`)), seconds * 1000);
    stream.on('data', (chunk) => {
      text += chunk;
      const match = pattern.exec(text);
      if (!match) return;
      clearTimeout(timer);
      found(match);
    });
  });
}

/** `tubelet serve` over folders that live as long as the test file; may be killed and started again. */
export class Server {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'tubelet-browser-'));
    this.graphs = join(this.folder, 'graphs');
    this.store = join(this.folder, 'store');
    this.port = 0;
    mkdirSync(this.graphs);
  }

  /** Put a file into the graphs folder. */
  write(name, text) {
    mkdirSync(dirname(join(this.graphs, name)), { recursive: true });
    writeFileSync(join(this.graphs, name), text);
  }

  read(name) {
    return readFileSync(join(this.graphs, name), 'utf8');
  }

  async start() {
    const folders = ['--base', this.folder, '--graphs', this.graphs, '--store', this.store];
    this.process = spawn(program, ['serve', '--port', String(this.port), ...folders], {
      env: { ...environment, XDG_CACHE_HOME: join(this.folder, 'cache') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.log = '';
    this.process.stderr.on('data', (chunk) => (this.log += chunk));
    this.exited = new Promise((done) => this.process.once('exit', (code, signal) => done({ code, signal })));
    const died = this.exited.then(({ code, signal }) => {
      throw new Error(`the server ended (${code ?? signal}): ${this.log}`);
    });
    died.catch(() => {}); // it ends in every test: of interest only while it starts
    const match = await Promise.race([line(this.process.stdout, /http:\/\/\S+:(\d+)\/\S*/, 60), died]);
    this.url = match[0];
    this.port = Number(match[1]); // the same after a restart
    return this;
  }

  /** SIGTERM; the exit code has to be 0, as sanitizers and leaks tell by it. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGTERM');
      const { code, signal } = await this.exited;
      assert.equal(code, 0, `the server ended with ${code ?? signal}: ${this.log}`);
    }
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.exited;
  }

  async remove() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What the program prints when it is run with these arguments; its exit code has to be 0. */
export async function tubelet(...args) {
  const { stdout, stderr } = await promisify(execFile)(program, args, { env: environment });
  return stdout + stderr;
}

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

export const launch = () =>
  chromium.launch({
    executablePath: process.env.TUBELET_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [...flags, '--disable-component-update', '--disable-sync'],
  });

function watch(page, note) {
  page.on('console', (message) => message.type() === 'error' && note(`console: ${message.text()} (${message.location().url})`));
  page.on('pageerror', (error) => note(`exception: ${error.stack ?? error}`));
}

/**
 * The server and the browser of a test file, inside `describe`. `graphs`: files of the graphs folder, as
 * { name: text }.
 */
export function workbench(graphs = {}) {
  const bench = { server: undefined, contexts: [], complaints: [], allowed: undefined };
  let browser;

  before(async () => {
    bench.server = new Server();
    for (const [name, text] of Object.entries(graphs)) bench.server.write(name, text);
    [browser] = await Promise.all([launch(), bench.server.start()]);
  });
  afterEach(async () => {
    for (const context of bench.contexts.splice(0)) await context.close();
    const allowed = bench.allowed;
    bench.allowed = undefined;
    assert.deepEqual(bench.complaints.splice(0).filter((text) => !allowed?.test(text)), [], 'the page complained');
  });
  after(async () => {
    await browser?.close();
    await bench.server?.remove();
  });

  /** A browser of its own: nothing is remembered, nothing shared but the server. */
  bench.context = async ({ width = 1280, height = 720, ...options } = {}) => {
    const context = await browser.newContext({ viewport: { width, height }, ...options });
    context.setDefaultTimeout(20_000);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
    });
    bench.contexts.push(context);
    return context;
  };

  /** The editor with this graph; without, with what it shows first. `context`: one that is there already. */
  bench.open = async (graph, { context, ...options } = {}) => {
    const page = await (context ?? (await bench.context(options))).newPage();
    watch(page, (text) => bench.complaints.push(text));
    await page.goto(graph ? `${bench.server.url}#graphs/${encodeURIComponent(graph)}` : bench.server.url);
    const editor = new Editor(page);
    if (graph) await editor.opened(graph);
    return editor;
  };

  /** A test; when it fails, and pictures are wanted, there is one of each page. */
  bench.test = (name, body) =>
    test(name, { timeout: 120_000 }, async () => {
      try {
        await body();
      } catch (failure) {
        const pages = bench.contexts.flatMap((context) => context.pages());
        for (const [i, page] of pages.entries()) await new Editor(page).shot(`failed ${name} ${i}`);
        throw failure;
      }
    });

  /** Complaints that the running test provokes. */
  bench.expectComplaints = (pattern) => (bench.allowed = pattern);
  return bench;
}

/** Frames a second that the page draws while something is done. */
export async function frames(page, act) {
  await page.evaluate(() => {
    const count = () => {
      window.framesDrawn++;
      window.frameRequest = requestAnimationFrame(count);
    };
    window.framesDrawn = 0;
    window.framesSince = performance.now();
    window.frameRequest = requestAnimationFrame(count);
  });
  await act();
  return page.evaluate(() => {
    cancelAnimationFrame(window.frameRequest);
    return (1000 * window.framesDrawn) / (performance.now() - window.framesSince);
  });
}
