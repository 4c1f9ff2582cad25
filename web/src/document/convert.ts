// convert.ts - between the document of docs/api.md and ours. What we do not know passes through untouched.

import type { GraphDocument, GraphNode } from "../api";
import { layOut } from "./layout";
import type { Doc, DocNode, Point } from "./model";

function isPoint(value: unknown): value is Point {
  return Array.isArray(value) && value.length >= 2 && value.every((number) => Number.isFinite(number));
}

/** Nodes without a place get one: all of them from the links, or the few new ones beside the others. */
export function fromApi(document: GraphDocument): Doc {
  const nodes = new Map<string, DocNode>();
  const unplaced: string[] = [];
  for (const [id, { class_type, inputs, _meta }] of Object.entries(document.graph)) {
    const placed = isPoint(_meta?.pos);
    if (!placed) unplaced.push(id);
    const meta = { ..._meta, pos: placed ? (_meta!.pos as Point) : ([0, 0] as Point) };
    nodes.set(id, { id, type: class_type, inputs: inputs ?? {}, meta });
  }
  const doc: Doc = {
    nodes,
    groups: document.view?.groups ?? [],
    folded: document.view?.folded ?? {},
    targets: document.targets,
    script: document.script,
  };
  return unplaced.length > 0 ? layOut(doc, new Set(unplaced)) : doc;
}

function nodeToApi({ type, inputs, meta }: DocNode): GraphNode {
  const entries = Object.entries({ ...meta, pos: meta.pos.map(Math.round) }).filter(([, value]) => value !== undefined);
  return { class_type: type, inputs: { ...inputs }, _meta: Object.fromEntries(entries) };
}

export function toApi(doc: Doc): GraphDocument {
  const graph = Object.fromEntries([...doc.nodes].map(([id, node]) => [id, nodeToApi(node)]));
  const document: GraphDocument = { graph };
  if (doc.targets) document.targets = [...doc.targets];
  if (doc.script != null) document.script = doc.script;
  if (doc.groups.length > 0 || Object.keys(doc.folded).length > 0) {
    document.view = { groups: [...doc.groups], folded: { ...doc.folded } };
  }
  return document;
}

/** ComfyUI's API format: the graph alone, with titles and nothing of the view. */
export function toComfyApi(doc: Doc): Record<string, GraphNode> {
  return Object.fromEntries(
    [...doc.nodes].map(([id, { type, inputs, meta }]) => [
      id,
      { class_type: type, inputs: { ...inputs }, _meta: { title: meta.title ?? type } },
    ]),
  );
}
