// run.mjs - checks the editor's types and runs the tests of its modules, which need no page.
//
//   node tests/web/run.mjs NODE_MODULES
//
// The modules stay in the build folder: types and tests are found there, and nothing is written into the tree.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const web = resolve(here, '../../web');
const modules = resolve(process.argv[2] ?? join(web, 'node_modules'));
const folder = mkdtempSync(join(tmpdir(), 'tubelet-web-'));

function run(...args) {
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status === 0;
}

function checkTypes() {
  const config = join(folder, 'tsconfig.json');
  const paths = { '*': [join(modules, '@types/*'), join(modules, '*')] };
  writeFileSync(config, JSON.stringify({
    extends: join(web, 'tsconfig.json'),
    include: [join(web, 'src')],
    compilerOptions: { paths },
  }));
  return run(join(modules, 'typescript/bin/tsc'), '--noEmit', '--project', config);
}

function runTests() {
  const { buildSync } = createRequire(join(modules, 'resolve.js'))('esbuild');
  const names = readdirSync(here).filter((name) => /\.test\.(mjs|ts)$/.test(name));
  buildSync({
    entryPoints: names.map((name) => join(here, name)),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    jsx: 'automatic',
    nodePaths: [modules],
    logLevel: 'warning',
  });
  return run('--test', ...names.map((name) => join(folder, name.replace(/ts$/, 'mjs'))));
}

try {
  const typed = checkTypes();
  const tested = runTests();
  process.exitCode = typed && tested ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
