// history.ts - the runs there were, newest first, loaded page by page; a run that ends is put on top.

import { api, ApiError, type Run } from "../api";
import { createStore, useStore } from "../store";
import { runState } from "./state";

export interface History {
  /** Ended ones only: the queue has the others. */
  runs: readonly Run[];
  more: boolean;
  state: "unloaded" | "loading" | "ready" | "failed";
  message?: string;
}

const pageSize = 50;
/** For code that is not a component. */
export const runHistory = createStore<History>({ runs: [], more: true, state: "unloaded" });

const ended = (run: Run) => run.state !== "pending" && run.state !== "running";

function merge(newer: readonly Run[], older: readonly Run[]): Run[] {
  const known = new Set(newer.map((run) => run.prompt_id));
  return [...newer, ...older.filter((run) => !known.has(run.prompt_id))];
}

async function load(before?: number): Promise<void> {
  runHistory.set((now) => ({ ...now, state: "loading" }));
  try {
    const { runs, more } = await api.runs(pageSize, before);
    const page = runs.filter(ended);
    runHistory.set((now) => ({ runs: before === undefined ? page : merge(now.runs, page), more, state: "ready" }));
  } catch (reason) {
    if (!(reason instanceof ApiError)) throw reason;
    runHistory.set((now) => ({ ...now, state: "failed", message: reason.message }));
  }
}

export function reloadHistory(): void {
  void load();
}

export function loadOlderRuns(): void {
  const { state, more, runs } = runHistory.get();
  const last = runs.at(-1);
  if (state === "ready" && more && last?.ended_ms) void load(last.ended_ms);
}

/** Leaves the history; its results stay in the store. */
export async function forgetRun(id: string): Promise<void> {
  await api.forgetRun(id);
  runHistory.set((now) => ({ ...now, runs: now.runs.filter((run) => run.prompt_id !== id) }));
}

export function watchHistory(): void {
  runState.ended.subscribe(() => {
    const run = runState.ended.get();
    if (run) runHistory.set((now) => ({ ...now, runs: merge([run], now.runs) }));
  });
  runState.connection.subscribe(() => {
    if (runState.connection.get().connected) reloadHistory();
  });
}

export function useHistory(): History {
  return useStore(runHistory, (now) => now);
}

/** The newest of all runs with this id, ended or not. */
export function findRun(id: string): Run | undefined {
  return [...runState.queue.get(), ...runHistory.get().runs].find((run) => run.prompt_id === id);
}
