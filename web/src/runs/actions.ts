// actions.ts - what a person does with runs: start, stop, run again, reopen, branch.

import { api, ApiError, type GraphDocument, type Run } from "../api";
import { nodeType } from "../catalog";
import { currentDocument, openDocument } from "../document/actions";
import { advanceSeeds } from "../document/seeds";
import { announce } from "../page/announce";
import { session } from "../document/session";
import { createStore, useStore } from "../store";
import { forgetRun } from "./history";
import { log } from "./log";
import { meaning } from "./meaning";
import { plannedNodes, planState, refuse } from "./plan";
import { forgetShown, runStarted, runState, showRun } from "./state";
import { forgetSteps } from "./steps";

export interface RunOptions {
  /** Only this node and what it needs. */
  until?: string;
  /** Before all others in the queue. */
  front?: boolean;
}

const batch = createStore(1);
const auto = createStore(false);

export const useBatchCount = () => useStore(batch, (now) => now);
export const useAutoRun = () => useStore(auto, (now) => now);

export function setBatchCount(count: number): void {
  batch.set(Math.min(Math.max(Math.round(count) || 1, 1), 100));
}

/** A failed call: told in the log. */
export function report(what: string, reason: unknown): void {
  if (!(reason instanceof ApiError)) throw reason;
  log("error", `${what}: ${reason.message}`);
}

/** The first text of several lines: what the user asked for. */
function promptOf({ graph }: GraphDocument): string | undefined {
  for (const { class_type, inputs } of Object.values(graph)) {
    for (const { name, multiline } of nodeType(class_type)?.inputs ?? []) {
      const value = inputs[name];
      if (multiline && typeof value === "string" && value.trim()) return value.trim();
    }
  }
  return undefined;
}

/** For lists: the name of the graph and its prompt, in one line. */
function titleOf(document: GraphDocument, name: string): string {
  const graph = name.replace(/\.\w+$/, "");
  const prompt = promptOf(document);
  return prompt ? `${graph}: ${prompt.replace(/\s+/g, " ").slice(0, 120)}` : graph;
}

let ranLast: string | null = null;

/** Queues the open document, as often as the batch count says. false: it was refused; the errors are at its nodes. */
export async function runNow({ until, front }: RunOptions = {}): Promise<boolean> {
  const { name } = session.get().origin;
  try {
    for (let left = batch.get(); left > 0; left--) {
      const document = currentDocument();
      ranLast = meaning(document);
      const { prompt_id, errors } = await api.run({ document, title: titleOf(document, name), until, front });
      runStarted(prompt_id, plannedNodes());
      advanceSeeds();
      for (const error of errors ?? []) log("warning", error.text ?? error.message, { node: error.node });
    }
    return true;
  } catch (reason) {
    report("Not queued", reason);
    refuse(reason);
    return false;
  }
}

/** Lets go of models and results that are kept in memory; those on disk stay. */
export async function freeMemory(): Promise<void> {
  await api.free().then(
    () => announce("Memory is freed as soon as nothing needs it."),
    (reason: unknown) => report("Not freed", reason),
  );
}

/** Stops what runs; finished nodes are kept. */
export async function interrupt(): Promise<void> {
  const run = runState.queue.get().find((entry) => entry.state === "running");
  if (run) await cancelRun(run.prompt_id);
}

export async function cancelRun(id: string): Promise<void> {
  await api.cancel(id).catch((reason: unknown) => report("Not canceled", reason));
}

/** The same document again. */
export async function rerun(id: string): Promise<void> {
  await api.retry(id).catch((reason: unknown) => report("Not queued", reason));
}

// --------------------------------------------------------------------------------------------------------- auto-queue

/** On a change that has a plan without errors, and with nothing of ours still to run. */
function runIfChanged(): void {
  const { state, summary } = planState.get();
  if (!auto.get() || state !== "ready" || !summary || runState.queue.get().length > 0) return;
  if (meaning(currentDocument()) !== ranLast) void runNow();
}

export function setAutoRun(on: boolean): void {
  auto.set(on);
  runIfChanged();
}

export function watchAutoRun(): void {
  planState.subscribe(runIfChanged);
  runState.queue.subscribe(runIfChanged);
}

// ------------------------------------------------------------------------------------------------------------- reopen

export const runTitle = (run: Pick<Run, "title" | "number">) => run.title || `Run ${run.number}`;

/** The name of the graph that ran. */
export const nameOf = (run: Run) => runTitle(run).replace(/: .*$/, "");

/** The graph of a run, with the states it ended in. */
export async function reopenRun(id: string): Promise<void> {
  try {
    const detail = await api.runDetail(id);
    openDocument(detail.document, { name: nameOf(detail) });
    showRun(detail);
  } catch (reason) {
    report("Not opened", reason);
  }
}

/** What a run is about: its prompt where the title has one ("text_to_video: a red ball"). */
export const captionOf = (run: Run) => runTitle(run).replace(/^[^:]*: /, "");

export async function removeRun(id: string): Promise<void> {
  try {
    await forgetRun(id);
    forgetSteps(id);
    forgetShown(id);
  } catch (reason) {
    report("Not removed", reason);
  }
}
