// actions.ts - what the rest of the editor does to the open document.

import type { GraphDocument } from "../api";
import { select } from "../canvas/selection";
import { forgetDocumentRuns } from "../runs/state";
import { fromApi, toApi } from "./convert";
import type { Edit } from "./edits";
import { closeGesture, record, redo, startHistory, undo } from "./history";
import { emptyDoc, type Doc } from "./model";
import { currentDoc, session, untitled, type Origin } from "./session";

/** One undoable step. Changes that name the same gesture in a row are one step. */
export function edit(change: Edit, gesture: string | null = null): void {
  session.set((now) => {
    const history = record(now.history, change(now.history.now), gesture);
    return history === now.history ? now : { ...now, history };
  });
}

export function endGesture(): void {
  session.set((now) => {
    const history = closeGesture(now.history);
    return history === now.history ? now : { ...now, history };
  });
}

export function undoEdit(): void {
  session.set((now) => ({ ...now, history: undo(now.history) }));
}

export function redoEdit(): void {
  session.set((now) => ({ ...now, history: redo(now.history) }));
}

function open(doc: Doc, origin: Origin): void {
  session.set((now) => ({
    origin,
    history: startHistory(doc),
    clean: doc,
    built: doc,
    opened: now.opened + 1,
  }));
  select([]);
  forgetDocumentRuns();
}

/** Replace what is open; nothing of it is kept. Ask first: document/files.ts, `mayLeave`. */
export function openDocument(document: GraphDocument, origin: Partial<Origin> = {}): void {
  open(fromApi(document), { ...untitled, ...origin });
}

export function newDocument(): void {
  open(emptyDoc, untitled);
}

let converted: { doc: Doc; document: GraphDocument } | undefined;

/** The open document as the server takes it; the same object until the next change. */
export function currentDocument(): GraphDocument {
  const doc = currentDoc();
  if (converted?.doc !== doc) converted = { doc, document: toApi(doc) };
  return converted.document;
}
