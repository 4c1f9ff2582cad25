// switch.ts - going from one open graph to another, and closing one.

import { select } from "../canvas/selection";
import { ask } from "../dialogs/dialogs";
import { announce } from "../page/announce";
import { dismiss, notify } from "../page/notices";
import { clock } from "../runs/format";
import { forgetDocumentRuns } from "../runs/state";
import { newDocument, restoreDraft } from "./actions";
import { dropDraft, keepDraft, orphans, readDraft } from "./drafts";
import { fileChanged, loadPath, rememberOpen, save } from "./files";
import { isDirty, session, type Session } from "./session";
import { isTabDirty, originOfTab, tabs, type Tab } from "./tabs";

function resume(waiting: Session): void {
  session.set((now) => ({ ...waiting, opened: now.opened + 1 }));
  select([]);
  forgetDocumentRuns();
  rememberOpen(waiting.origin.path);
}

/** What the tab that is current now stands for. */
async function read({ origin, waiting, changed }: Tab): Promise<void> {
  for (const notice of ["file", "changed", "draft", "build", "unknown"]) dismiss(notice);
  if (waiting) resume(waiting);
  else if (origin.path) await loadPath(origin.path, { instead: true });
  else restoreDraft(readDraft(origin)?.document, origin);
  if (origin.path && changed !== undefined) await fileChanged(origin.path, changed);
}

export async function switchTo(i: number): Promise<void> {
  const { list, current } = tabs.get();
  const tab = list[i];
  if (!tab || i === current) return;
  keepDraft();
  const now = session.get();
  tabs.set({
    list: list.map((other, at) => {
      if (at === current) return { origin: now.origin, waiting: now };
      return at === i ? { origin: tab.origin, waiting: null } : other;
    }),
    current: i,
  });
  await read(tab);
  announce(`${session.get().origin.name}, ${i + 1} of ${list.length}.`);
}

/** The next one, or the one before; round and round. */
export function switchBy(step: 1 | -1): void {
  const { list, current } = tabs.get();
  void switchTo((current + step + list.length) % list.length);
}

/** false: the person would rather keep it open. */
async function mayClose(i: number): Promise<boolean> {
  if (!isTabDirty(tabs.get(), i)) return true;
  await switchTo(i);
  const { name } = session.get().origin;
  const answer = await ask({
    title: `Close ${name}?`,
    text: "It has changes that were not saved.",
    choices: [
      { id: "save", label: "Save", kind: "primary" },
      { id: "discard", label: "Close without saving", kind: "danger" },
    ],
  });
  if (answer?.choice !== "save") return answer !== null;
  await save();
  return !isDirty();
}

export async function closeTab(i: number = tabs.get().current): Promise<void> {
  if (!(await mayClose(i))) return;
  const before = tabs.get();
  const closed = originOfTab(before, i);
  if (before.list.length === 1) {
    newDocument({ instead: true });
    rememberOpen(undefined);
  } else {
    const list = before.list.filter((_, at) => at !== i);
    const shown = i === before.current ? Math.min(i, list.length - 1) : before.current - Number(i < before.current);
    const next = list[shown]!;
    tabs.set({ list: list.map((tab, at) => (at === shown ? { ...tab, waiting: null } : tab)), current: shown });
    if (i === before.current) await read(next);
  }
  dropDraft(closed); // last: what leaves the screen is kept as a draft
  announce(`Closed ${closed.name}.`);
}

/** The shown tab of a page that was loaded again: true when there is a draft of a graph that is no file. */
export function resumeUnsaved(): boolean {
  const { list, current } = tabs.get();
  const { origin } = list[current]!;
  const draft = origin.path ? null : readDraft(origin);
  if (draft) restoreDraft(draft.document, origin);
  return draft !== null;
}

/** Graphs that were never files, of windows that are gone. */
export async function offerOrphans(): Promise<void> {
  const open = new Set(tabs.get().list.map((_, i) => originOfTab(tabs.get(), i).id));
  for (const { id, name, savedMs } of await orphans()) {
    if (open.has(id)) continue;
    const origin = { id, name, params: [], values: {} };
    notify({
      id: `draft ${id}`,
      kind: "info",
      text: `There is an unsaved graph, ${name}, from ${clock(savedMs)}.`,
      actions: [
        { label: "Open it", run: () => restoreDraft(readDraft(origin)?.document, origin) },
        { label: "Discard it", run: () => dropDraft(origin) },
      ],
    });
  }
}
