// edits.ts - changes of a document: each takes one and gives another. No change gives the same object back.

import type { Group, InputValue } from "../api";
import { linksOf, type Doc, type DocLink, type DocNode, type Point } from "./model";

export type Edit = (doc: Doc) => Doc;

function withNode(doc: Doc, node: DocNode): Doc {
  return { ...doc, nodes: new Map(doc.nodes).set(node.id, node) };
}

/** The type's name, with a number where it is taken. */
export function freshId(doc: Doc, wanted: string, taken: ReadonlySet<string> = new Set()): string {
  const base = wanted.replace(/_\d+$/, "");
  let id = wanted;
  for (let n = 2; doc.nodes.has(id) || taken.has(id); n++) id = `${base}_${n}`;
  return id;
}

export const addNodes =
  (nodes: readonly DocNode[]): Edit =>
  (doc) => {
    if (nodes.length === 0) return doc;
    const all = new Map(doc.nodes);
    for (const node of nodes) all.set(node.id, node);
    return { ...doc, nodes: all };
  };

/** Without these nodes and the links they give. */
export const removeNodes =
  (ids: ReadonlySet<string>): Edit =>
  (doc) => {
    if (![...ids].some((id) => doc.nodes.has(id))) return doc;
    const nodes = new Map<string, DocNode>();
    for (const [id, node] of doc.nodes) {
      if (!ids.has(id)) nodes.set(id, withoutLinksFrom(node, ids));
    }
    const targets = doc.targets?.filter((id) => !ids.has(id));
    return { ...doc, nodes, targets: targets?.length ? targets : undefined };
  };

function withoutLinksFrom(node: DocNode, sources: ReadonlySet<string>): DocNode {
  const gone = [...linksOf(node)].filter((link) => sources.has(link.source));
  if (gone.length === 0) return node;
  const inputs = { ...node.inputs };
  for (const link of gone) delete inputs[link.input];
  return { ...node, inputs };
}

/** undefined leaves the input to its default. */
export const setInput =
  (id: string, name: string, value: InputValue | undefined): Edit =>
  (doc) => {
    const node = doc.nodes.get(id);
    if (!node || node.inputs[name] === value) return doc;
    const inputs = { ...node.inputs };
    if (value === undefined) delete inputs[name];
    else inputs[name] = value;
    return withNode(doc, withBends({ ...node, inputs }, name, [])); // another link goes its own way
  };

function withBends(node: DocNode, input: string, points: readonly Point[]): DocNode {
  if (points.length === 0 && !node.meta.bends?.[input]) return node;
  const bends = { ...node.meta.bends, [input]: [...points] };
  if (points.length === 0) delete bends[input];
  return { ...node, meta: { ...node.meta, bends: Object.keys(bends).length > 0 ? bends : undefined } };
}

/** Where the link of an input is led through. */
export const setBends =
  (id: string, input: string, points: readonly Point[]): Edit =>
  (doc) => {
    const node = doc.nodes.get(id);
    return node ? withNode(doc, withBends(node, input, points)) : doc;
  };

/** Bends of links whose both ends moved as far as each other go with them. */
function carryBends(before: Doc, nodes: Map<string, DocNode>): void {
  const shift = (id: string): Point => {
    const [from, to] = [before.nodes.get(id)?.meta.pos, nodes.get(id)?.meta.pos];
    return from && to ? [to[0] - from[0], to[1] - from[1]] : [0, 0];
  };
  for (const node of [...nodes.values()]) {
    for (const { source, target, input } of node.meta.bends ? linksOf(node) : []) {
      const points = node.meta.bends![input];
      const [[dx, dy], [sx, sy]] = [shift(target), shift(source)];
      if (!points || (dx === 0 && dy === 0) || dx !== sx || dy !== sy) continue;
      nodes.set(target, withBends(nodes.get(target)!, input, points.map(([x, y]) => [x + dx, y + dy])));
    }
  }
}

export const connect = (link: DocLink): Edit => setInput(link.target, link.input, [link.source, link.slot]);

export const disconnect = (links: Iterable<Pick<DocLink, "target" | "input">>): Edit =>
  sequence([...links].map((link) => setInput(link.target, link.input, undefined)));

/** Fields that become undefined are taken out. */
export const patchMeta =
  (ids: Iterable<string>, patch: Partial<DocNode["meta"]>): Edit =>
  (doc) => {
    const nodes = new Map(doc.nodes);
    for (const id of ids) {
      const node = nodes.get(id);
      if (node) nodes.set(id, { ...node, meta: { ...node.meta, ...patch } });
    }
    return { ...doc, nodes };
  };

export const moveNodes =
  (places: ReadonlyMap<string, Point>): Edit =>
  (doc) => {
    let nodes: Map<string, DocNode> | undefined;
    for (const [id, pos] of places) {
      const node = doc.nodes.get(id);
      if (!node || (node.meta.pos[0] === pos[0] && node.meta.pos[1] === pos[1])) continue;
      nodes ??= new Map(doc.nodes);
      nodes.set(id, { ...node, meta: { ...node.meta, pos } });
    }
    if (nodes) carryBends(doc, nodes);
    return nodes ? { ...doc, nodes } : doc;
  };

/** Into this mode; out of it when all of them have it already. */
export const toggleMode =
  (ids: readonly string[], mode: "mute" | "bypass"): Edit =>
  (doc) => {
    const all = ids.every((id) => doc.nodes.get(id)?.meta.mode === mode);
    return patchMeta(ids, { mode: all ? undefined : mode })(doc);
  };

export const toggleFlag =
  (ids: readonly string[], flag: "collapsed" | "pinned"): Edit =>
  (doc) => {
    const all = ids.every((id) => doc.nodes.get(id)?.meta[flag]);
    return patchMeta(ids, { [flag]: all ? undefined : true })(doc);
  };

export const addGroup =
  (group: Group): Edit =>
  (doc) => ({ ...doc, groups: [...doc.groups, group] });

export const patchGroup =
  (id: string, patch: Partial<Group>): Edit =>
  (doc) => ({ ...doc, groups: doc.groups.map((group) => (group.id === id ? { ...group, ...patch } : group)) });

export const removeGroups =
  (ids: ReadonlySet<string>): Edit =>
  (doc) => {
    const groups = doc.groups.filter((group) => !ids.has(group.id));
    return groups.length === doc.groups.length ? doc : { ...doc, groups };
  };

export const setFolded =
  (scope: string, folded: boolean): Edit =>
  (doc) => ({ ...doc, folded: { ...doc.folded, [scope]: folded } });

export const sequence =
  (edits: readonly Edit[]): Edit =>
  (doc) =>
    edits.reduce((now, edit) => edit(now), doc);
