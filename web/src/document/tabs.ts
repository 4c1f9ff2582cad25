// tabs.ts - the graphs that are open side by side, each with its own undo. The one that is shown is the session; the
// others wait here. Which ones they are outlives a reload of the page; what was not saved is in drafts.ts.

import { createStore, useStore } from "../store";
import { readDraft } from "./drafts";
import { isDirty, session, untitled, type Origin, type Session } from "./session";

export interface Tab {
  origin: Origin;
  /** null: it is shown, or was not read again since the page was loaded. */
  waiting: Session | null;
  /** Of its file, which changed on disk meanwhile; null: the file is gone. */
  changed?: string | null;
}

export interface Tabs {
  list: readonly Tab[];
  current: number;
}

const place = "tubelet.tabs";

export const tabs = createStore<Tabs>({ list: [{ origin: session.get().origin, waiting: null }], current: 0 });

export const useTabs = () => useStore(tabs, (now) => now);

/** Where it comes from now: the shown one may have been saved under another name. */
export const originOfTab = ({ list, current }: Tabs, i: number): Origin =>
  i === current ? session.get().origin : list[i]!.origin;

export const isTabDirty = ({ list, current }: Tabs, i: number): boolean => {
  const state = i === current ? session.get() : list[i]!.waiting;
  return state ? isDirty(state) : readDraft(list[i]!.origin) !== null;
};

export function tabOfPath(path: string): number {
  const now = tabs.get();
  return now.list.findIndex((_, i) => originOfTab(now, i).path === path);
}

/** Was something done to it that would be missed? */
function isTouched(state: Session): boolean {
  return state.history.past.length > 0 || state.history.future.length > 0 || isDirty(state);
}

/** Another document is about to be shown. What was worked on stays in its tab, and so does any graph when the other one
 *  goes `beside` it; else the other takes its place. */
export function makePlace(origin: Origin, beside: boolean): void {
  const now = session.get();
  const same = origin.path !== undefined && origin.path === now.origin.path;
  const keep = isTouched(now) || (beside && now.history.now.nodes.size > 0);
  tabs.set(({ list, current }) => {
    const next = [...list];
    const shown: Tab = { origin, waiting: null };
    if (same || !keep) next[current] = shown;
    else next.splice(current, 1, { origin: now.origin, waiting: now }, shown);
    return { list: next, current: same || !keep ? current : current + 1 };
  });
}

/** Of the graph that was shown as number `opened`, which may wait in its tab by now. */
export function patchOpened(opened: number, patch: (state: Session) => Session): void {
  if (session.get().opened === opened) {
    session.set(patch);
    return;
  }
  const patched = (tab: Tab): Tab => {
    if (tab.waiting?.opened !== opened) return tab;
    const waiting = patch(tab.waiting);
    return { ...tab, origin: waiting.origin, waiting };
  };
  tabs.set((now) => ({ ...now, list: now.list.map(patched) }));
}

/** Of a file that is open, but not shown. */
export function noteChange(path: string, etag: string | null): void {
  tabs.set((now) => ({
    ...now,
    list: now.list.map((tab, i) => (i !== now.current && tab.origin.path === path ? { ...tab, changed: etag } : tab)),
  }));
}

function remember(): void {
  const now = tabs.get();
  const list = now.list.map((_, i) => {
    const { name, path, id } = originOfTab(now, i);
    return { name, path, id };
  });
  sessionStorage.setItem(place, JSON.stringify({ list, current: now.current }));
}

function shownOf({ list, current }: { list: Origin[]; current: number }, path: string | undefined): Tabs {
  const all = list.map((origin): Tab => ({ origin: { ...origin, params: [], values: {} }, waiting: null }));
  if (path === undefined) return { list: all, current };
  const at = list.findIndex((origin) => origin.path === path);
  if (at >= 0) return { list: all, current: at };
  return { list: [...all, { origin: { ...untitled, path }, waiting: null }], current: all.length };
}

/** The tabs of this window before its page was loaded again, none of them read yet; the one of `path` is shown. false:
 *  there were none. */
export function restoreTabs(path: string | undefined): boolean {
  let found = false;
  try {
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "null") as { list: Origin[]; current: number } | null;
    found = Boolean(kept?.list[kept.current]);
    if (kept && found) tabs.set(shownOf(kept, path));
  } catch {
    found = false; // of another version
  }
  tabs.subscribe(remember);
  session.subscribe(remember);
  return found;
}
