// overlay.ts - which of the large views lies over the page, if any.

import type { OutputFile, Run } from "../api";
import { createStore, useStore } from "../store";

/** Two pictures of one run: a stored step and the last one. */
export interface StepPair {
  title: string;
  left: { label: string; key: string };
  right: { label: string; key: string };
}

export type Overlay =
  | { kind: "viewer"; run: Run; file: OutputFile }
  | { kind: "compare"; left: Run; right: Run }
  | { kind: "steps"; pair: StepPair };

const overlay = createStore<Overlay | null>(null);

export const openOverlay = (next: Overlay) => overlay.set(next);
export const closeOverlay = () => overlay.set(null);
export const useOverlay = () => useStore(overlay, (now) => now);
