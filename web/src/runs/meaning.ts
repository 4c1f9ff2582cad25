// meaning.ts - what of a document enters a run: not its places, titles or groups.

import type { GraphDocument, InputValue, Json } from "../api";
import { linksOf, type Doc } from "../document/model";
import { writeJson } from "../json";

function sorted(inputs: Record<string, InputValue>): [string, InputValue][] {
  return Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Equal for documents that run the same. */
export function meaning({ graph, targets, script }: GraphDocument): string {
  const nodes = Object.entries(graph)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { class_type, inputs, _meta }]) => [id, class_type, sorted(inputs ?? {}), _meta?.mode ?? ""]);
  return writeJson([nodes, targets ?? [], (script as Json) ?? null]);
}

/** All nodes that need `id`, directly or through others. */
export function downstreamOf(doc: Doc, id: string): Set<string> {
  const readers = new Map<string, string[]>();
  for (const node of doc.nodes.values()) {
    for (const { source, target } of linksOf(node)) readers.set(source, [...(readers.get(source) ?? []), target]);
  }
  const found = new Set<string>();
  const open = [id];
  while (open.length > 0) {
    for (const reader of readers.get(open.pop()!) ?? []) {
      if (found.has(reader)) continue;
      found.add(reader);
      open.push(reader);
    }
  }
  return found;
}
