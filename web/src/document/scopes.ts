// scopes.ts - scopes of the document: nodes whose ids share a prefix ("row_01/sample") fold into one box.

import type { Doc, DocNode } from "./model";
import { scopeOf } from "./model";

/** A graph of more nodes opens with its scopes folded. */
const roomy = 40;

export const scopeCanvasId = (scope: string) => `#scope:${scope}`;
export const scopeOfCanvasId = (id: string) => (id.startsWith("#scope:") ? id.slice(7) : null);
export const groupCanvasId = (group: string) => `#group:${group}`;
export const groupOfCanvasId = (id: string) => (id.startsWith("#group:") ? id.slice(7) : null);

export function isFolded(doc: Doc, scope: string): boolean {
  return doc.folded[scope] ?? doc.nodes.size > roomy;
}

/** Every scope, outer ones first. */
export function scopesOf(doc: Doc): string[] {
  const scopes = new Set<string>();
  for (const id of doc.nodes.keys()) {
    for (let scope = scopeOf(id); scope; scope = scopeOf(scope)) scopes.add(scope);
  }
  return [...scopes].sort((a, b) => a.length - b.length || a.localeCompare(b));
}

export const isInside = (id: string, scope: string) => id.startsWith(`${scope}/`);

export const nodesInside = (doc: Doc, scope: string): DocNode[] =>
  [...doc.nodes.values()].filter((node) => isInside(node.id, scope));

/** Those that begin in a group's box. */
export function nodesInGroup(doc: Doc, id: string): string[] {
  const group = doc.groups.find((other) => other.id === id);
  if (!group) return [];
  const [x, y, width, height] = group.box;
  return [...doc.nodes.values()]
    .filter(({ meta: { pos } }) => pos[0] >= x && pos[1] >= y && pos[0] <= x + width && pos[1] <= y + height)
    .map((node) => node.id);
}

/** The outermost folded scope a node is in, or null: it is drawn itself. */
export function hiddenIn(doc: Doc, id: string): string | null {
  let outer: string | null = null;
  for (let scope = scopeOf(id); scope; scope = scopeOf(scope)) {
    if (isFolded(doc, scope)) outer = scope;
  }
  return outer;
}

/** Document nodes behind what is selected on the canvas: a folded scope stands for all it holds. */
export function documentIds(doc: Doc, canvasIds: Iterable<string>): string[] {
  const ids = new Set<string>();
  for (const id of canvasIds) {
    const scope = scopeOfCanvasId(id);
    if (scope !== null) for (const node of nodesInside(doc, scope)) ids.add(node.id);
    else if (doc.nodes.has(id)) ids.add(id);
  }
  return [...ids];
}
