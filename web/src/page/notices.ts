// notices.ts - bars under the top bar: something to know or to decide, without stopping the work.

import { createStore, useStore } from "../store";

export interface Notice {
  /** A newer notice with the same id takes its place. */
  id: string;
  text: string;
  kind: "info" | "warning" | "error";
  actions?: { label: string; run: () => void }[];
}

const notices = createStore<readonly Notice[]>([]);

export function notify(notice: Notice): void {
  notices.set((now) => [...now.filter((other) => other.id !== notice.id), notice]);
}

export function dismiss(id: string): void {
  notices.set((now) => (now.some((notice) => notice.id === id) ? now.filter((notice) => notice.id !== id) : now));
}

export const useNotices = () => useStore(notices, (now) => now);
