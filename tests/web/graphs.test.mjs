// What of a graph matters to a run, and in what two graphs differ.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences } from '../../web/src/panels/differences.ts';
import { downstreamOf, meaning } from '../../web/src/runs/meaning.ts';

const graph = () => ({
  a: { class_type: 'noise_init', inputs: { seed: 1, size: '64x64' }, _meta: { pos: [0, 0] } },
  b: { class_type: 'sample', inputs: { latent: ['a', 0], steps: 20 } },
});

test('places, titles and the order of inputs do not change what runs', () => {
  const moved = graph();
  moved.a._meta = { pos: [9, 9], title: 'x', colour: 'red' };
  moved.a.inputs = { size: '64x64', seed: 1 };
  const swapped = { b: moved.b, a: moved.a };
  assert.equal(meaning({ graph: swapped, view: { folded: { b: true } } }), meaning({ graph: graph() }));
});

test('values, links, modes and targets do', () => {
  const plain = meaning({ graph: graph() });
  const changed = (change) => {
    const document = { graph: graph() };
    change(document);
    assert.notEqual(meaning(document), plain);
  };
  changed((document) => (document.graph.a.inputs.seed = 2));
  changed((document) => (document.graph.a.inputs.seed = '1'));
  changed((document) => (document.graph.b.inputs.latent = ['a', 1]));
  changed((document) => (document.graph.a._meta.mode = 'mute'));
  changed((document) => (document.targets = ['b']));
});

test('what reads a node, directly or not', () => {
  const node = (id, ...sources) => [id, { id, type: 't', inputs: Object.fromEntries(sources.map((s) => [s, [s, 0]])), meta: { pos: [0, 0] } }];
  const doc = { nodes: new Map([node('a'), node('b', 'a'), node('c', 'b', 'a'), node('d')]), groups: [], folded: {} };
  assert.deepEqual([...downstreamOf(doc, 'a')].sort(), ['b', 'c']);
  assert.deepEqual([...downstreamOf(doc, 'd')], []);
});

test('differences are listed by node and input', () => {
  const other = graph();
  other.a.inputs = { seed: 2, frames: 17, size: '64x64' };
  other.b = { class_type: 'other', inputs: {} };
  other.c = { class_type: 'mux', inputs: {} };
  assert.deepEqual(differences({ graph: graph() }, { graph: other }), [
    { node: 'a', input: 'seed', left: '1', right: '2' },
    { node: 'a', input: 'frames', left: '\u2013', right: '17' },
    { node: 'b', input: '', left: 'sample', right: 'other' },
    { node: 'c', input: '', left: '\u2013', right: 'mux' },
  ]);
});

test('a link is shown by where it comes from, an empty text as such', () => {
  const left = { graph: { a: { class_type: 't', inputs: { x: ['n', 0], text: '' } } } };
  const right = { graph: { a: { class_type: 't', inputs: { x: ['m', 0], text: 'a' } } } };
  assert.deepEqual(differences(left, right), [
    { node: 'a', input: 'x', left: 'from n', right: 'from m' },
    { node: 'a', input: 'text', left: '(empty)', right: 'a' },
  ]);
});
