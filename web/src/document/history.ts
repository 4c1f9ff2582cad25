// history.ts - undo and redo: snapshots, one a gesture; typing into one field is one gesture.

import type { Doc } from "./model";

export interface History {
  readonly past: readonly Doc[];
  readonly now: Doc;
  readonly future: readonly Doc[];
  /** Names the gesture that may go on: a field that is typed in. */
  readonly gesture: string | null;
}

const limit = 500;

export const startHistory = (doc: Doc): History => ({ past: [], now: doc, future: [], gesture: null });

/** A change with the gesture of the one before it joins that one. */
export function record(history: History, doc: Doc, gesture: string | null = null): History {
  if (doc === history.now) return history;
  const joins = gesture !== null && gesture === history.gesture && history.past.length > 0;
  const past = joins ? history.past : [...history.past, history.now].slice(-limit);
  return { past, now: doc, future: [], gesture };
}

/** The next change is a gesture of its own. */
export const closeGesture = (history: History): History =>
  history.gesture === null ? history : { ...history, gesture: null };

export function undo(history: History): History {
  const before = history.past.at(-1);
  if (!before) return history;
  return { past: history.past.slice(0, -1), now: before, future: [history.now, ...history.future], gesture: null };
}

export function redo(history: History): History {
  const [after, ...future] = history.future;
  if (!after) return history;
  return { past: [...history.past, history.now], now: after, future, gesture: null };
}
