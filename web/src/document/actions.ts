// actions.ts - what the rest of the editor does to the open document.

import type { GraphDocument } from "../api";
import { select } from "../canvas/selection";
import { forgetDocumentRuns } from "../runs/state";
import { fromApi, toApi } from "./convert";
import { keepDraft } from "./drafts";
import type { Edit } from "./edits";
import { closeGesture, record, redo, startHistory, undo } from "./history";
import { emptyDoc, type Doc } from "./model";
import { currentDoc, freshOriginId, session, untitled, type Origin } from "./session";
import { makePlace, tabs } from "./tabs";

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

export interface Opening {
  /** The graph that is open stays so, in a tab of its own, also when nothing was done to it. */
  beside?: boolean;
  /** It takes the place of the one that is open, whatever that holds. */
  instead?: boolean;
}

function open(doc: Doc, wanted: Origin, { beside = false, instead = false }: Opening): void {
  const origin = wanted.path || wanted.id ? wanted : { ...wanted, id: freshOriginId() };
  keepDraft();
  if (!instead) makePlace(origin, beside);
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

/** Show another document. What was done to the one that is open stays in its tab. */
export function openDocument(document: GraphDocument, origin: Partial<Origin> = {}, how: Opening = {}): void {
  open(fromApi(document), { ...untitled, ...origin }, how);
}

export function newDocument(how: Opening = { beside: true }): void {
  open(emptyDoc, untitled, how);
}

/** What was not saved of a graph that is no file, into its own tab when that is shown; it is still not saved. */
export function restoreDraft(document: GraphDocument | undefined, origin: Origin): void {
  const { list, current } = tabs.get();
  open(emptyDoc, origin, { instead: list[current]!.origin.id === origin.id });
  if (document) edit(() => fromApi(document));
}

let converted: { doc: Doc; document: GraphDocument } | undefined;

/** The open document as the server takes it; the same object until the next change. */
export function currentDocument(): GraphDocument {
  const doc = currentDoc();
  if (converted?.doc !== doc) converted = { doc, document: toApi(doc) };
  return converted.document;
}
