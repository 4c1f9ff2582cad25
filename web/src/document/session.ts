// session.ts - the document that is open: its history, where it came from, and whether it was changed since.

import type { Json, Param } from "../api";
import { createStore, useStore } from "../store";
import { startHistory, type History } from "./history";
import { emptyDoc, type Doc } from "./model";

/** Where a document came from. */
export interface Origin {
  /** For people: a file's name, a run's title. */
  name: string;
  /** Below the graphs folder; none: it was never saved there. */
  path?: string;
  /** Without a path: what its draft is kept under. */
  id?: string;
  /** Of the file when it was read or written last. */
  etag?: string;
  /** One sentence. */
  doc?: string;
  /** Of a Lua graph: the form that builds it. */
  params: readonly Param[];
  values: Readonly<Record<string, Json>>;
  /** The Lua text. */
  source?: string;
  /** The file is what saving its graph gives: nothing is lost when it is written again. */
  saved?: boolean;
}

export interface Session {
  origin: Origin;
  history: History;
  /** As it is on disk. */
  clean: Doc;
  /** As the script built it last: edits by hand are what differs from it. */
  built: Doc;
  /** Rises with every document that is opened. */
  opened: number;
}

export const untitled: Origin = { name: "untitled", params: [], values: {} };

/** Of a graph that is no file. */
export const freshOriginId = () => `unsaved-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;

export const session = createStore<Session>({
  origin: { ...untitled, id: freshOriginId() },
  history: startHistory(emptyDoc),
  clean: emptyDoc,
  built: emptyDoc,
  opened: 0,
});

export const currentDoc = (): Doc => session.get().history.now;
export const isDirty = (now: Session = session.get()) => now.history.now !== now.clean;

/** Parameters that have to be filled in before there is a graph. */
export const missingParams = ({ params, values }: Origin) =>
  params.filter((param) => param.required && (values[param.name] ?? "") === "").map((param) => param.name);

export const useDoc = () => useStore(session, (now) => now.history.now);
export const useDocNode = (id: string) => useStore(session, (now) => now.history.now.nodes.get(id));
export const useOrigin = () => useStore(session, (now) => now.origin);
/** The document carries a script, which may have node types of its own. */
export const useScripted = () => useStore(session, (now) => now.history.now.script != null);
export const useDirty = () => useStore(session, isDirty);
export const useCanUndo = () => useStore(session, (now) => now.history.past.length > 0);
export const useCanRedo = () => useStore(session, (now) => now.history.future.length > 0);
