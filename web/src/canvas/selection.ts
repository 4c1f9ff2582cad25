// selection.ts - what is selected: nodes and groups by canvas id, links by theirs, or one node inside a scope.

import { createStore, useStore } from "../store";

export interface Selection {
  nodes: ReadonlySet<string>;
  links: ReadonlySet<string>;
  /** A node of the expanded graph, as "sample/step_03/cond". */
  inner: string | null;
}

const nothing: Selection = { nodes: new Set(), links: new Set(), inner: null };

export const selection = createStore<Selection>(nothing);

export function select(nodes: Iterable<string>, links: Iterable<string> = []): void {
  selection.set({ nodes: new Set(nodes), links: new Set(links), inner: null });
}

export function selectInner(id: string): void {
  selection.set({ ...nothing, inner: id });
}

export const useSelection = () => useStore(selection, (now) => now);
export const selectedNodes = () => [...selection.get().nodes];
