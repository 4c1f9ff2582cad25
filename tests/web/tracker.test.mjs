// What a run does is summed up for scopes and for the nodes of the document.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTracker, scopesOf } from '../../web/src/runs/tracker.ts';

const expanded = {
  noise: ['noise_init', 'noise'],
  'sample/step_00/cond': ['dit_step', 'sample'],
  'sample/step_00/step': ['sampler_step', 'sample'],
  'sample/step_01/cond': ['dit_step', 'sample'],
  'sample/step_01/step': ['sampler_step', 'sample'],
};

function tracked() {
  const tracker = createTracker({ prompt_id: 'a' }, (id) => id === 'noise' || id === 'sample');
  tracker.plan(expanded);
  tracker.phase = 'running';
  return tracker;
}

test('a scope holds those around it', () => {
  assert.deepEqual(scopesOf('a/b/c'), ['a/b', 'a']);
  assert.deepEqual(scopesOf('a'), []);
});

test('nodes that have not begun are queued, unknown ones are idle', () => {
  const tracker = tracked();
  assert.equal(tracker.state('sample').state, 'queued');
  assert.equal(tracker.state('sample/step_01').state, 'queued');
  assert.equal(tracker.state('other').state, 'idle');
});

test('a change touches its node and every scope around it, and nothing else', () => {
  const touched = tracked().apply({ 'sample/step_00/cond': { state: 'running', share: 0.5 } });
  assert.deepEqual([...touched], ['sample/step_00/cond', 'sample/step_00', 'sample']);
});

test('the share of a composite counts finished steps and the one that runs', () => {
  const tracker = tracked();
  tracker.apply({ 'sample/step_00/cond': { state: 'done', ms: 30 }, 'sample/step_00/step': { state: 'running', share: 0.5 } });
  assert.deepEqual(tracker.state('sample'), { state: 'running', share: 0.375, steps: [0, 2], ms: 30 });
  tracker.apply({ 'sample/step_00/step': { state: 'done' } });
  assert.deepEqual(tracker.state('sample').steps, [1, 2]);
  tracker.apply({ 'sample/step_00/step': { state: 'running', share: 0.5 } });
  assert.equal(tracker.state('sample/step_00').share, 0.75);
});

test('stored steps alone do not make a composite run', () => {
  const tracker = tracked();
  tracker.apply({ 'sample/step_00/cond': { state: 'cached' } });
  assert.equal(tracker.state('sample').state, 'queued');
});

test('a change of a node replaces what it said before', () => {
  const tracker = tracked();
  const ids = Object.keys(expanded).slice(1);
  for (const id of ids) tracker.apply({ [id]: { state: 'running', share: 0.2 } });
  for (const id of ids) tracker.apply({ [id]: { state: 'done', ms: 10 } });
  assert.deepEqual(tracker.state('sample'), { state: 'done', ms: 40 });
});

test('all stored is cached, one failed is an error', () => {
  const tracker = tracked();
  tracker.apply({ noise: { state: 'cached' } });
  assert.equal(tracker.state('noise').state, 'cached');
  tracker.apply({ 'sample/step_01/cond': { state: 'failed' } });
  assert.equal(tracker.state('sample').state, 'error');
});

test('when the run has ended, what did not run is idle', () => {
  const tracker = tracked();
  tracker.apply({ 'sample/step_00/cond': { state: 'running' } });
  tracker.phase = 'ended';
  assert.equal(tracker.state('sample').state, 'idle');
  assert.equal(tracker.state('noise').state, 'idle');
});

test('progress is weighed by expected seconds, stored nodes left out', () => {
  const tracker = tracked();
  const seconds = new Map([['sample/step_00/cond', 3], ['sample/step_01/cond', 1]]);
  tracker.apply({ noise: { state: 'cached' }, 'sample/step_00/cond': { state: 'done' } });
  assert.ok(Math.abs(tracker.share(seconds) - 0.75) < 1e-3);
});

test('without a plan, a node stands for the part of its id that the document has', () => {
  const tracker = createTracker({ prompt_id: 'a' }, (id) => id === 'sample');
  assert.equal(tracker.display('sample/step_03/cond'), 'sample');
  assert.equal(tracker.display('other/x'), 'other/x');
});
