// Numbers, states and plans as people read them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, bytes, duration, ordinal, roughly } from '../../web/src/runs/format.ts';
import { memoryWarning, planSentence, runNodes, runSentence } from '../../web/src/panels/words.ts';

const same = (write, cases) => cases.forEach(([value, text]) => assert.equal(write(value), text));

test('durations have the unit that fits', () => {
  same(duration, [
    [0, '0 ms'], [0.0172, '17 ms'], [0.4, '0.4 s'], [9.94, '9.9 s'], [9.96, '10 s'], [59.7, '1 min'], [200, '3 min 20 s'],
    [3600, '1 h'], [7500, '2 h 5 min'],
  ]);
});

test('predictions are no more exact than they are', () => {
  same(roughly, [[0.2, 'under 1 s'], [4.4, 'about 4 s'], [38.2, 'about 40 s'], [380, 'about 6 min'], [9000, 'about 2.5 h']]);
});

test('bytes count in thousands', () => {
  same(bytes, [[312, '312 B'], [1200, '1.2 kB'], [999_600, '1.0 MB'], [49_590_000, '50 MB'], [11e9, '11 GB']]);
});

test('places in the queue and ages', () => {
  same(ordinal, [[1, '1st'], [2, '2nd'], [3, '3rd'], [11, '11th'], [13, '13th'], [22, '22nd'], [112, '112th']]);
  const now = 1e12;
  same((then) => age(then, now), [[now + 5, 'just now'], [now - 3e5, '5 min ago'], [now - 7.2e6, '2 h ago'], [now - 9e7, 'yesterday']]);
});

const summary = {
  nodes: 24, cached: 21, run: 3, unknown: 0, seconds: 41, seconds_complete: true, peak_bytes: 1.2e9, memory_limit: 8e9,
};
const ready = (change) => planSentence({ state: 'ready', errors: [], summary: { ...summary, ...change } });

test('a plan is one sentence', () => {
  assert.equal(ready({}), '3 of 24 nodes will run, about 40 s, 1.2 GB');
  assert.equal(ready({ seconds: null }), '3 of 24 nodes will run, time unknown, 1.2 GB');
  assert.equal(ready({ seconds_complete: false }), '3 of 24 nodes will run, about 40 s or more, 1.2 GB');
  assert.equal(ready({ seconds: 0.2, seconds_complete: false }), '3 of 24 nodes will run, time unknown, 1.2 GB');
  assert.equal(ready({ unknown: 2 }), '3 of 24 nodes will run, 2 not known yet, about 40 s, 1.2 GB');
  assert.equal(ready({ nodes: 1, run: 1, seconds: 0.1 }), '1 of 1 node will run, under 1 s, 1.2 GB');
  assert.equal(ready({ run: 0 }), 'Nothing to compute: the results are stored');
});

test('while a plan is made the last one stays', () => {
  assert.equal(planSentence({ state: 'planning', errors: [], summary }), '3 of 24 nodes will run, about 40 s, 1.2 GB');
  assert.equal(planSentence({ state: 'planning', errors: [] }), 'Planning\u2026');
  assert.equal(planSentence({ state: 'empty', errors: [] }), '');
});

test('errors of a plan are counted, the first is told', () => {
  const errors = [{ message: 'needs model' }, { message: 'needs vae' }];
  assert.equal(planSentence({ state: 'errors', errors: errors.slice(0, 1) }), 'needs model');
  assert.equal(planSentence({ state: 'errors', errors }), '2 errors: needs model');
});

test('what does not fit into memory is said with both numbers', () => {
  assert.equal(memoryWarning(summary), null);
  assert.equal(memoryWarning({ ...summary, peak_bytes: 12e9 }), 'Needs 12 GB; 8.0 GB may be used');
});

test('runs say how they ended', () => {
  const run = { prompt_id: 'a', number: 1, created_ms: 0, started_ms: 1000, ended_ms: 2200, nodes_total: 24 };
  assert.equal(runSentence({ ...run, state: 'done' }), 'Done in 1.2 s');
  assert.equal(runSentence({ ...run, state: 'failed' }), 'Failed after 1.2 s');
  assert.equal(runSentence({ ...run, state: 'pending' }, 2), 'Queued, 2nd');
  assert.equal(runNodes({ ...run, nodes_run: 3 }), '3 of 24 nodes computed');
  assert.equal(runNodes({ ...run, nodes_run: 0 }), 'all 24 nodes from the store');
});
