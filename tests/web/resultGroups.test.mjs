import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupResults } from '../../web/src/panels/resultGroups.ts';

const results = (...types) => types.map((type, i) => ({ key: String(i), type }));
const shape = (groups) => groups.map((group) => (Array.isArray(group) ? group.length : group.type));

test('denoising steps that stand together are one row', () => {
  const steps = Array.from({ length: 6 }, (_, i) => (i % 3 ? 'dit_step' : 'sampler_step'));
  assert.deepEqual(shape(groupResults(results('mux', ...steps, 'vae_decode'))), ['mux', 6, 'vae_decode']);
  assert.deepEqual(shape(groupResults(results(...steps, 'mux', ...steps))), [6, 'mux', 6]);
});

test('a few of them stay rows of their own, and nothing is lost', () => {
  assert.deepEqual(shape(groupResults(results('dit_step', 'dit_step', 'mux', 'dit_step'))), ['dit_step', 'dit_step', 'mux', 'dit_step']);
  assert.deepEqual(groupResults([]), []);
});
