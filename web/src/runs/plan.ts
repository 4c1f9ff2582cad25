// plan.ts - what a run of the open document would do: asked after every edit that matters, 400 ms after the last one.

import { api, ApiError, type Graph, type GraphError, type Plan, type PlanSummary } from "../api";
import { currentDocument } from "../document/actions";
import { currentDoc, session } from "../document/session";
import { createStore, useStore } from "../store";
import { createKeyed, useKeyed } from "./keyed";
import { meaning } from "./meaning";
import { showStored } from "./shown";
import { expectSeconds, runState } from "./state";
import { scopesOf } from "./tracker";

export interface PlanState {
  /** failed: no plan could be made at all, `message` says why. The summary is the last one there was. */
  state: "empty" | "planning" | "ready" | "errors" | "failed";
  summary?: PlanSummary;
  errors: GraphError[];
  message?: string;
}

/** What the plan says of one node of the document, its inner nodes together. */
export interface NodePlan {
  cached: number;
  run: number;
  unknown: number;
  /** Of those that run and whose time is known. */
  seconds: number;
  /** Some that run have no known time. */
  incomplete: boolean;
  bytes: number;
  /** Of a node without inner ones. */
  key?: string;
  shape?: string;
}

const debounceMs = 400;
const none: readonly GraphError[] = [];

/** The graph that runs, composites unfolded, of the newest plan. */
export const expandedGraph = createStore<Graph>({});
const plan = createStore<PlanState>({ state: "empty", errors: [] });
const nodePlans = createKeyed<NodePlan | null>(null);
const allPlans = createStore<ReadonlyMap<string, NodePlan>>(new Map());
const nodeErrors = createKeyed<readonly GraphError[]>(none);
/** The newest plan, for the run that follows it. */
let newest: Plan | null = null;

/** The node of the open document that an expanded id stands for. */
export function displayOf(id: string): string {
  const { nodes } = currentDoc();
  return [id, ...scopesOf(id)].find((name) => nodes.has(name)) ?? id;
}

function sumUp(nodes: Plan["nodes"]): Map<string, NodePlan> {
  const sums = new Map<string, NodePlan>();
  for (const { node, state, seconds, bytes, key, shape } of nodes) {
    for (const id of new Set([node, ...scopesOf(node)])) {
      const sum = sums.get(id) ?? { cached: 0, run: 0, unknown: 0, seconds: 0, incomplete: false, bytes: 0 };
      sum[state]++;
      if (state === "run") {
        sum.seconds += seconds ?? 0;
        sum.incomplete ||= seconds === null;
      }
      sum.bytes += bytes;
      if (id === node) Object.assign(sum, { key, shape });
      sums.set(id, sum);
    }
  }
  return sums;
}

function replace<T>(keyed: { keys(): string[]; set(key: string, value: T): void }, next: Map<string, T>, missing: T) {
  for (const key of keyed.keys()) if (!next.has(key)) keyed.set(key, missing);
  for (const [key, value] of next) keyed.set(key, value);
}

/** Shows errors at their nodes; those of inner nodes at the node of the document too. */
function showErrors(errors: GraphError[]): void {
  const byNode = new Map<string, GraphError[]>();
  for (const error of errors) {
    if (!error.node) continue;
    for (const id of new Set([error.node, displayOf(error.node)])) byNode.set(id, [...(byNode.get(id) ?? []), error]);
  }
  replace<readonly GraphError[]>(nodeErrors, byNode, none);
}

function accept(answer: Plan): void {
  newest = answer;
  expandedGraph.set(answer.expanded);
  const sums = sumUp(answer.nodes);
  replace<NodePlan | null>(nodePlans, sums, null);
  allPlans.set(sums);
  showErrors(answer.errors);
  showStored(answer, displayOf);
  expectSeconds(new Map(answer.nodes.flatMap((node) => (node.seconds === null ? [] : [[node.node, node.seconds]]))));
  const state = answer.errors.length > 0 ? "errors" : "ready";
  plan.set((now) => ({ state, summary: answer.summary ?? now.summary, errors: answer.errors }));
}

/** An answer that refused the graph: its errors stand where those of a plan would. */
export function refuse(reason: unknown): void {
  if (!(reason instanceof ApiError)) throw reason;
  const { errors, message } = reason;
  showErrors(errors);
  plan.set({ ...plan.get(), state: errors.length > 0 ? "errors" : "failed", errors, message });
}

let timer: ReturnType<typeof setTimeout> | undefined;
let asking: AbortController | undefined;
let planned: string | null = null;
/** What the newest plan is of. */
let answered: string | null = null;

async function ask(): Promise<void> {
  asking?.abort();
  const document = currentDocument();
  planned = meaning(document);
  if (Object.keys(document.graph).length === 0) {
    newest = null;
    expandedGraph.set({});
    nodePlans.clear();
    allPlans.set(new Map());
    nodeErrors.clear();
    plan.set({ state: "empty", errors: [] });
    return;
  }
  const mine = new AbortController();
  asking = mine;
  try {
    const answer = await api.plan(document, undefined, { signal: mine.signal });
    if (mine.signal.aborted) return;
    answered = meaning(document);
    accept(answer);
  } catch (reason) {
    if (!mine.signal.aborted) refuse(reason);
  }
}

/** Ask again soon: the store has other results now. */
export function planAgain(delayMs = debounceMs): void {
  clearTimeout(timer);
  timer = setTimeout(() => void ask(), delayMs);
}

function onEdit(): void {
  if (meaning(currentDocument()) === planned) return;
  if (plan.get().state !== "planning") plan.set({ ...plan.get(), state: "planning" });
  planAgain();
}

/** Watches the document, the ends of runs and the connection. */
export function watchPlan(): void {
  let doc = currentDoc();
  session.subscribe(() => {
    if (currentDoc() === doc) return;
    doc = currentDoc();
    onEdit();
  });
  runState.ended.subscribe(() => planAgain());
  runState.connection.subscribe(() => {
    if (runState.connection.get().connected) planAgain(0);
  });
}

/**
 * Of every expanded node of the newest plan: its type and the node of the document it stands for. Before there is a
 * plan of the document as it is, its own nodes.
 */
export function plannedNodes(): Record<string, [string, string]> {
  const document = currentDocument();
  const nodes = newest?.nodes.map(({ node, type }) => [node, [type, displayOf(node)]] as const);
  const own = Object.entries(document.graph).map(([id, node]) => [id, [node.class_type, id]] as const);
  return Object.fromEntries(nodes && answered === meaning(document) ? nodes : own) as Record<string, [string, string]>;
}

export function useExpanded(): Graph {
  return useStore(expandedGraph, (now) => now);
}

export const planState = plan;

export function usePlan(): PlanState {
  return useStore(plan, (now) => now);
}

/** null: the plan has no such node; it is not needed, or there is no plan yet. */
export function useNodePlan(id: string): NodePlan | null {
  return useKeyed(nodePlans, id);
}

/** Of all nodes and scopes at once. */
export function usePlannedNodes(): ReadonlyMap<string, NodePlan> {
  return useStore(allPlans, (now) => now);
}

export function useNodeErrors(id: string): readonly GraphError[] {
  return useKeyed(nodeErrors, id);
}
