// popups.ts - the search for a node and the context menu: what is open, and where on the screen.

import type { XYPosition } from "@xyflow/react";
import type { Point } from "../document/model";
import { createStore, useStore } from "../store";
import type { LooseEnd } from "./connect";

export type Popup =
  /** `place`: on the plane, where the node goes; else below the pointer. */
  | { kind: "search"; at: XYPosition; end?: LooseEnd; place?: Point }
  | { kind: "menu"; at: XYPosition; label: string; commands: readonly (string | null)[] };

const popup = createStore<Popup | null>(null);

export const openPopup = (next: Popup) => popup.set(next);
export const closePopup = () => popup.set(null);
export const usePopup = () => useStore(popup, (now) => now);
