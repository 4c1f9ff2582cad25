// tracker.ts - what a run does, per node of the document.
//
// The server tells the states of expanded nodes ("sample/step_03/cond"). A tracker sums them up for the node itself,
// for every scope around it ("sample/step_03", "sample") and for the node of the document it stands for, and keeps a
// tally of each, so that one change costs its depth and not the size of the graph.

import type { GraphError, Run } from "../api";
import type { NodeChange } from "./events";

export interface NodeState {
  state: "idle" | "queued" | "running" | "cached" | "done" | "error" | "blocked";
  /** 0..1 of a running node. */
  share?: number;
  /** Finished and all denoising steps of a running composite; of one without steps, its inner nodes. */
  steps?: [number, number];
  /** Time it took, all its inner nodes together. */
  ms?: number;
  error?: GraphError;
  /** blocked: the document's node that failed. */
  waitsFor?: string;
  previewUrl?: string;
}

export const idle: NodeState = { state: "idle" };

/** pending: in the queue; ended: nothing will change any more. */
export type Phase = "pending" | "running" | "ended";

interface Tally {
  total: number;
  done: number;
  cached: number;
  failed: number;
  running: number;
  /** Sum of the shares of running nodes. */
  shares: number;
  ms: number;
}

const counted = { done: "done", cached: "cached", failed: "failed", running: "running" } as const;

function add(tally: Tally, change: NodeChange, sign: 1 | -1): void {
  tally[counted[change.state]] += sign;
  if (change.state === "running") tally.shares += sign * (change.share ?? 0);
  tally.ms += sign * (change.ms ?? 0);
}

/** "a/b/c" is in the scopes "a/b" and "a". */
export function scopesOf(id: string): string[] {
  const scopes: string[] = [];
  for (let slash = id.lastIndexOf("/"); slash > 0; slash = id.lastIndexOf("/", slash - 1)) {
    scopes.push(id.slice(0, slash));
  }
  return scopes;
}

const isComplete = (tally: Tally) => tally.total > 0 && tally.done + tally.cached >= tally.total;

/** "sample/step_03" is a step, as the composites in scripts/lib name them. */
const isStep = (scope: string) => /\/step_\d+$/.test(scope);

function summarize(tally: Tally, phase: Phase, steps: Tally[]): NodeState {
  const finished = tally.done + tally.cached;
  const ms = tally.ms > 0 ? tally.ms : undefined;
  if (tally.failed > 0) return { state: "error", ms };
  if (isComplete(tally) || (phase === "ended" && finished > 0)) return { state: tally.done > 0 ? "done" : "cached", ms };
  if (phase === "ended") return idle;
  if (phase === "pending" || (tally.running === 0 && tally.done === 0)) return { state: "queued" };
  const share = tally.total > 0 ? (finished + tally.shares) / tally.total : 0;
  const parts: [number, number] =
    steps.length > 0 ? [steps.filter(isComplete).length, steps.length] : [finished, tally.total];
  return { state: "running", share, steps: parts[1] > 1 ? parts : undefined, ms };
}

export interface Tracker {
  readonly promptId: string;
  phase: Phase;
  /** The nodes of the run, each with the node of the document it stands for. */
  plan(expanded: Record<string, [string, string]>): void;
  /** Returns the ids (nodes, scopes, nodes of the document) whose summary may differ now. */
  apply(nodes: Record<string, NodeChange>): Set<string>;
  state(id: string): NodeState;
  /** Every id there is a summary for. */
  ids(): Iterable<string>;
  /** The node of the document that an expanded node stands for. */
  display(id: string): string;
  /** Share of the whole run, weighted by `seconds` (expected, by expanded node) where they are known. */
  share(seconds: ReadonlyMap<string, number>): number;
}

/** `inDocument` says which ids are nodes of the submitted graph, for runs whose plan was told before we listened. */
export function createTracker(run: Pick<Run, "prompt_id">, inDocument: (id: string) => boolean): Tracker {
  const changes = new Map<string, NodeChange>();
  const tallies = new Map<string, Tally>();
  const members = new Map<string, string[]>();
  /** The steps inside a scope or a node of the document. */
  const stepsIn = new Map<string, Map<string, Tally>>();
  const displays = new Map<string, string>();

  function display(id: string): string {
    return displays.get(id) ?? [id, ...scopesOf(id)].find(inDocument) ?? id;
  }

  function join(id: string): string[] {
    const known = members.get(id);
    if (known) return known;
    const groups = [...new Set([id, ...scopesOf(id), display(id)])];
    members.set(id, groups);
    for (const group of groups) {
      const tally = tallies.get(group);
      if (tally) tally.total++;
      else tallies.set(group, { total: 1, done: 0, cached: 0, failed: 0, running: 0, shares: 0, ms: 0 });
    }
    for (const step of groups.filter(isStep)) noteStep(step, display(id));
    return groups;
  }

  function noteStep(step: string, shown: string): void {
    for (const outer of new Set([...scopesOf(step), shown])) {
      const inside = stepsIn.get(outer) ?? new Map<string, Tally>();
      stepsIn.set(outer, inside.set(step, tallies.get(step)!));
    }
  }

  function change(id: string, next: NodeChange, touched: Set<string>): void {
    const before = changes.get(id);
    const merged = { ...before, ...next };
    changes.set(id, merged);
    for (const group of join(id)) {
      const tally = tallies.get(group)!;
      if (before) add(tally, before, -1);
      add(tally, merged, 1);
      touched.add(group);
    }
  }

  return {
    promptId: run.prompt_id,
    phase: "pending",
    plan(expanded) {
      for (const [id, [, shown]] of Object.entries(expanded)) displays.set(id, shown);
      for (const id of Object.keys(expanded)) join(id);
    },
    apply(nodes) {
      const touched = new Set<string>();
      for (const [id, next] of Object.entries(nodes)) change(id, next, touched);
      return touched;
    },
    state(id) {
      const tally = tallies.get(id);
      return tally ? summarize(tally, this.phase, [...(stepsIn.get(id)?.values() ?? [])]) : idle;
    },
    ids: () => tallies.keys(),
    display,
    share(seconds) {
      let all = 0;
      let finished = 0;
      for (const id of members.keys()) {
        const change = changes.get(id);
        if (change?.state === "cached") continue;
        const weight = Math.max(seconds.get(id) ?? 0, 1e-4);
        all += weight;
        if (change?.state === "running") finished += weight * (change.share ?? 0);
        else if (change) finished += weight;
      }
      return all > 0 ? finished / all : 0;
    },
  };
}
