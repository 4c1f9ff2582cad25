// keyed.ts - many values of one kind, each watched by its key: a change renders its own readers and no others.

import { useCallback, useSyncExternalStore } from "react";

type Listener = () => void;

export interface Keyed<T> {
  /** `missing` for a key that was never set. */
  get(key: string): T;
  set(key: string, next: T): void;
  keys(): string[];
  /** Every key reads as `missing` again. */
  clear(): void;
  subscribe(key: string, listener: Listener): () => void;
}

export function createKeyed<T>(missing: T): Keyed<T> {
  const values = new Map<string, T>();
  const listeners = new Map<string, Set<Listener>>();

  function tell(key: string): void {
    for (const listener of [...(listeners.get(key) ?? [])]) listener();
  }

  return {
    get: (key) => values.get(key) ?? missing,
    keys: () => [...values.keys()],
    set(key, next) {
      if (Object.is(values.get(key) ?? missing, next)) return;
      values.set(key, next);
      tell(key);
    },
    clear() {
      const keys = [...values.keys()];
      values.clear();
      keys.forEach(tell);
    },
    subscribe(key, listener) {
      const set = listeners.get(key) ?? new Set();
      listeners.set(key, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0) listeners.delete(key);
      };
    },
  };
}

export function useKeyed<T>(keyed: Keyed<T>, key: string): T {
  const subscribe = useCallback((listener: Listener) => keyed.subscribe(key, listener), [keyed, key]);
  return useSyncExternalStore(subscribe, () => keyed.get(key));
}
