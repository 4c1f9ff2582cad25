// model.ts - the document as the editor holds it: immutable, so that a snapshot is a reference and what did not change
// stays the same object. State of runs is never in here.

import { isLink, type Group, type InputValue, type Json, type NodeMeta } from "../api";

/** What becomes of a seed after each run. */
export const seedControls = ["fixed", "increment", "decrement", "randomize"] as const;
export type SeedControl = (typeof seedControls)[number];

export type Point = [number, number];
export type Inputs = Readonly<Record<string, InputValue>>;

export interface DocNode {
  readonly id: string;
  readonly type: string;
  readonly inputs: Inputs;
  /** As in the file, unknown fields included; a place is always there. */
  readonly meta: Readonly<NodeMeta & { pos: Point; seeds?: Readonly<Record<string, SeedControl>> }>;
}

export interface Doc {
  readonly nodes: ReadonlyMap<string, DocNode>;
  readonly groups: readonly Group[];
  readonly folded: Readonly<Record<string, boolean>>;
  readonly targets?: readonly string[];
  readonly script?: Json;
}

export const emptyDoc: Doc = { nodes: new Map(), groups: [], folded: {} };

/** Output `slot` of `source` into `input` of `target`. */
export interface DocLink {
  source: string;
  slot: number;
  target: string;
  input: string;
}

/** An input has one link at most, so its own name is the link's. */
export const linkId = (link: Pick<DocLink, "target" | "input">) => `${link.target} ${link.input}`;

export function* linksOf(node: DocNode): Generator<DocLink> {
  for (const [input, value] of Object.entries(node.inputs)) {
    if (isLink(value)) yield { source: value[0], slot: value[1], target: node.id, input };
  }
}

export function* allLinks(doc: Doc): Generator<DocLink> {
  for (const node of doc.nodes.values()) yield* linksOf(node);
}

/** Would a link from `source` into `target` close a circle? */
export function closesCircle(doc: Doc, source: string, target: string): boolean {
  const seen = new Set<string>();
  const open = [source];
  while (open.length > 0) {
    const id = open.pop()!;
    if (id === target) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    const node = doc.nodes.get(id);
    if (node) for (const link of linksOf(node)) open.push(link.source);
  }
  return false;
}

/** "row_01/inner" of "row_01/inner/sample"; "" at the top. */
export const scopeOf = (id: string) => id.slice(0, Math.max(0, id.lastIndexOf("/")));
export const lastName = (id: string) => id.slice(id.lastIndexOf("/") + 1);
