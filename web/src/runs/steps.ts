// steps.ts - the stored denoising steps of the run that is shown, while it runs and after.

import { api, ApiError, type Step } from "../api";
import { session } from "../document/session";
import { createStore, useStore } from "../store";
import { runState } from "./state";

/** While a run adds steps: when they are looked at, and when only their number is shown. */
const pollMs = { open: 1000, closed: 4000 };
const none: readonly Step[] = [];

const stored = createStore<{ id: string | null; steps: readonly Step[] }>({ id: null, steps: none });
/** The user is looking at one step: another run that is shown meanwhile must not take it away. */
let held = false;
const open = createStore(false);
let timer: ReturnType<typeof setTimeout> | undefined;
let asking: AbortController | undefined;

/** Again and again while the run is under way. */
async function load(): Promise<void> {
  clearTimeout(timer);
  asking?.abort();
  const id = held ? stored.get().id : runState.shown.get();
  if (id === null) {
    stored.set({ id, steps: none });
    return;
  }
  const mine = new AbortController();
  asking = mine;
  try {
    const { steps } = await api.steps(id, { signal: mine.signal });
    stored.set((now) => (now.id === id && now.steps.length === steps.length ? now : { id, steps }));
  } catch (reason) {
    if (mine.signal.aborted) return;
    if (!(reason instanceof ApiError)) throw reason;
    stored.set({ id, steps: none });
  }
  if (runState.running.get()?.run.prompt_id === id) {
    timer = setTimeout(() => void load(), open.get() ? pollMs.open : pollMs.closed);
  }
}

export function watchSteps(): void {
  const again = () => void load();
  let opened = session.get().opened;
  session.subscribe(() => {
    if (session.get().opened === opened) return;
    opened = session.get().opened;
    holdSteps(false);
  });
  runState.shown.subscribe(again);
  runState.ended.subscribe(again);
  let running: string | undefined;
  runState.running.subscribe(() => {
    const id = runState.running.get()?.run.prompt_id;
    if (id === running) return;
    running = id;
    again();
  });
}

/** The run whose steps there are; null: none. */
export function useStepsRun(): string | null {
  return useStore(stored, (now) => now.id);
}

export function useSteps(): readonly Step[] {
  return useStore(stored, (now) => now.steps);
}

/** Is the view of the steps open? */
export const useScrubbing = () => useStore(open, (now) => now);

export function setScrubbing(on: boolean): void {
  open.set(on);
  if (on) void load();
}

/** Stay with the run whose steps there are; or follow the one that is shown again. */
export function holdSteps(on: boolean): void {
  if (held === on) return;
  held = on;
  if (!on) void load();
}

/** Of a run that has left the history: the server tells of it no more. */
export function forgetSteps(id: string): void {
  if (stored.get().id !== id) return;
  asking?.abort();
  clearTimeout(timer);
  held = false;
  stored.set({ id: null, steps: none });
}

/** Of every sampling node, in the order the run took them. */
export function byScope(steps: readonly Step[]): Map<string, Step[]> {
  const scopes = new Map<string, Step[]>();
  for (const step of steps) scopes.set(step.scope, [...(scopes.get(step.scope) ?? []), step]);
  return scopes;
}
