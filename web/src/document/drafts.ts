// drafts.ts - unsaved changes survive a closed tab: kept in the browser, one draft a file, and offered again.

import type { GraphDocument } from "../api";
import { parseJson, writeJson } from "../json";
import { dismiss, notify } from "../page/notices";
import { clock } from "../runs/format";
import { toApi } from "./convert";
import { isDirty, session, untitled, type Origin, type Session } from "./session";

interface Draft {
  document: GraphDocument;
  name?: string;
  savedMs: number;
}

const delayMs = 400;
const prefix = "tubelet.draft:";
const placeOf = (origin: Origin) => prefix + (origin.path ?? origin.id);

export function readDraft(origin: Origin): Draft | null {
  try {
    return parseJson(localStorage.getItem(placeOf(origin)) ?? "null") as Draft | null;
  } catch {
    return null;
  }
}

export const dropDraft = (origin: Origin) => localStorage.removeItem(placeOf(origin));

const held = new Set<string>();

/** Other windows see by it that the draft is that of an open graph; the browser lets go of it with this window. */
function hold(place: string): void {
  if (held.has(place)) return;
  held.add(place);
  void navigator.locks?.request(place, () => new Promise(() => undefined));
}

/** Drafts of graphs that are no files, and are open nowhere as far as can be told. */
export async function orphans(): Promise<{ id: string; name: string; savedMs: number }[]> {
  const open = new Set((await navigator.locks?.query())?.held?.map((lock) => lock.name));
  return Object.keys(localStorage).flatMap((place) => {
    const id = place.slice(prefix.length);
    const draft = place.startsWith(`${prefix}unsaved-`) && !open.has(place) ? readDraft({ ...untitled, id }) : null;
    return draft ? [{ id, name: draft.name ?? untitled.name, savedMs: draft.savedMs }] : [];
  });
}

function writeDraft({ origin, history }: Session): void {
  const draft: Draft = { document: toApi(history.now), name: origin.name, savedMs: Date.now() };
  if (!origin.path) hold(placeOf(origin));
  try {
    localStorage.setItem(placeOf(origin), writeJson(draft));
  } catch {
    notify({
      id: "draft",
      kind: "warning",
      text: "Unsaved changes no longer fit into the browser's storage; save the graph.",
    });
  }
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** Now, not a moment later: the document is about to be replaced, or the page closed. */
export function keepDraft(): void {
  clearTimeout(timer);
  const now = session.get();
  if (isDirty(now)) writeDraft(now);
}

/** Watches the document from now on. */
export function watchDrafts(): void {
  let before = session.get();
  session.subscribe(() => {
    const now = session.get();
    const wasDirty = isDirty(before) && before.opened === now.opened;
    before = now;
    clearTimeout(timer);
    if (isDirty(now)) timer = setTimeout(() => writeDraft(now), delayMs);
    else if (wasDirty) dropDraft(now.origin);
  });
  addEventListener("pagehide", keepDraft);
}

/** Offers what was not saved of this file, if there is something. */
export function offerDraft(origin: Origin, restore: (draft: GraphDocument) => void): void {
  const draft = readDraft(origin);
  dismiss("draft");
  if (!draft) return;
  notify({
    id: "draft",
    kind: "info",
    text: `There are unsaved changes of ${origin.name}, from ${clock(draft.savedMs)}.`,
    actions: [
      { label: "Restore them", run: () => restore(draft.document) },
      { label: "Discard them", run: () => dropDraft(origin) },
    ],
  });
}
