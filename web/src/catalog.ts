// catalog.ts - the node types the server knows, and what follows from a type alone.

import { api, type NodeInput, type NodeType } from "./api";
import { isScalar } from "./ports";
import { createStore, useStore } from "./store";

export interface Catalog {
  types: ReadonlyMap<string, NodeType>;
  loaded: boolean;
}

export const catalog = createStore<Catalog>({ types: new Map(), loaded: false });

export async function loadCatalog(): Promise<void> {
  const { nodes } = await api.nodes();
  catalog.set({ types: new Map(nodes.map((type) => [type.name, type])), loaded: true });
}

export const nodeType = (name: string) => catalog.get().types.get(name);
export const useNodeType = (name: string) => useStore(catalog, (now) => now.types.get(name));

export const typeTitle = (type: NodeType | undefined, name: string) => type?.title || name;

/** Does the node lack something without a value or a link here? The rule of the engine's check_missing. */
export function isNeeded(input: NodeInput): boolean {
  if (input.optional) return false;
  return input.required || !isScalar(input.type);
}

/** Has it a picture of its own: a target's file, a picture that is read, what a composite makes. */
export function hasPreview(type: NodeType): boolean {
  return Boolean(type.target) || type.kind === "composite" || type.inputs.some((input) => input.upload || input.file);
}

/** Types in their categories, both in order of their names. */
export function byCategory(types: Iterable<NodeType>): [string, NodeType[]][] {
  const groups = new Map<string, NodeType[]>();
  for (const type of types) {
    const name = type.category || "other";
    groups.set(name, [...(groups.get(name) ?? []), type]);
  }
  for (const list of groups.values()) list.sort((a, b) => typeTitle(a, a.name).localeCompare(typeTitle(b, b.name)));
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}
