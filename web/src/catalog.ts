// catalog.ts - the node types the server knows, and what follows from a type alone.

import { api, type NodeInput, type NodeType } from "./api";
import { isScalar } from "./ports";
import { createStore, useStore } from "./store";

export interface Catalog {
  types: ReadonlyMap<string, NodeType>;
  loaded: boolean;
}

export const catalog = createStore<Catalog>({ types: new Map(), loaded: false });

/** Its values stand for chance: they may change with every run. */
export const isSeed = ({ name, type, seed }: Pick<NodeInput, "name" | "type" | "seed">) =>
  Boolean(seed) || (type === "INT" && /(^|_)seed$/.test(name));

const withSeeds = (type: NodeType): NodeType => ({
  ...type,
  inputs: type.inputs.map((input) => (isSeed(input) ? { ...input, seed: true } : input)),
});

export async function loadCatalog(): Promise<void> {
  const { nodes } = await api.nodes();
  catalog.set({ types: new Map(nodes.map((type) => [type.name, withSeeds(type)])), loaded: true });
}

export const nodeType = (name: string) => catalog.get().types.get(name);
export const useNodeType = (name: string) => useStore(catalog, (now) => now.types.get(name));

export const typeTitle = (type: NodeType | undefined, name: string) => type?.title || name;

/** Does the node lack something without a value or a link here? The rule of the engine's check_missing. */
export function isNeeded(input: NodeInput): boolean {
  if (input.optional) return false;
  return input.required || !isScalar(input.type);
}

/** Has it a picture of its own: a target's file, a picture that is read, what sampling makes. */
export function hasPreview(type: NodeType): boolean {
  const samples = type.kind === "composite" && type.inputs.some((input) => input.name === "steps");
  return Boolean(type.target) || samples || type.inputs.some((input) => input.upload || input.file);
}

/** It only stands for what another tool has, and fails when it runs: it is not offered. */
export const isRefused = (type: NodeType) => Boolean(type.doc?.startsWith("Not supported yet"));

/** Nodes under another tool's names: after ours, wherever nodes are listed. */
export const isForeign = (type: NodeType) => Boolean(type.category?.startsWith("comfyui/"));

/** Types in their categories, both in order of their names; ours first. */
export function byCategory(types: Iterable<NodeType>): [string, NodeType[]][] {
  const groups = new Map<string, NodeType[]>();
  for (const type of types) {
    if (isRefused(type)) continue;
    const name = type.category || "other";
    groups.set(name, [...(groups.get(name) ?? []), type]);
  }
  for (const list of groups.values()) list.sort((a, b) => typeTitle(a, a.name).localeCompare(typeTitle(b, b.name)));
  return [...groups].sort(
    ([a, x], [b, y]) => Number(isForeign(x[0]!)) - Number(isForeign(y[0]!)) || a.localeCompare(b),
  );
}
