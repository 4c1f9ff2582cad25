// state.ts - what the server is doing, as hooks.
//
// All runs under way are followed, whoever started them; the node states of the first one are shown on the open document
// when the run is of that document: started here, reopened from the history, or with the same graph. Run state never
// enters the document.

import { api, type PlanSummary, type Run, type RunDetail } from "../api";
import { toApi } from "../document/convert";
import { currentDoc } from "../document/session";
import { createStore, useStore } from "../store";
import {
  connectEvents,
  type Connection,
  type EventSocket,
  type NodeChange,
  type Preview,
  type ServerEvent,
} from "./events";
import { log, logLevel } from "./log";
import { meaning } from "./meaning";
import { dropPreviews, publish, publishAll, show, showFailure, showFile, shown, shownId, showPreview } from "./shown";
import { createTracker, type Tracker } from "./tracker";

export { useNodeState } from "./shown";
export type { NodeState } from "./tracker";

export interface RunningRun {
  run: Run;
  summary?: PlanSummary;
  /** 0..1 */
  share: number;
  secondsLeft: number | null;
}

const connection = createStore<Connection>({ connected: false, retryAt: null });
const queue = createStore<Run[]>([]);
const running = createStore<RunningRun | null>(null);
/** Bumped when a run has ended: lists of runs and results are out of date. */
const endings = createStore<Run | null>(null);
const graphChange = createStore<{ path: string; etag: string | null } | null>(null);

// ------------------------------------------------------------------------------------------------------- the document

/** Prompts started from the document that is open. */
const ours = new Set<string>();
let serverId: string | null = null;

/** A run under way. */
interface Followed {
  tracker: Tracker;
  summary?: PlanSummary;
  /** In Date.now()'s time. */
  since: number;
  /** Seconds a node is expected to take, by the plan that was the newest when the run began. */
  expected: ReadonlyMap<string, number>;
}
const follows = new Map<string, Followed>();
/** The first of them. */
let tracked: Followed | null = null;
/** The one that ended last: maybe before the answer to its start. */
let previous: Tracker | null = null;
let expectedNow: ReadonlyMap<string, number> = new Map();

const inDocument = (id: string) => currentDoc().nodes.has(id);

/** A run whose news we have heard. */
const heardOf = (promptId: string) =>
  follows.get(promptId)?.tracker ?? [previous, shown()].find((each) => each?.promptId === promptId);

/** Another document is open now: nothing on it has run yet. */
export function forgetDocumentRuns(): void {
  ours.clear();
  dropPreviews();
  show(null);
  if (tracked) void adopt(tracked.tracker);
}

/** The run has left the history: nothing more is known of it. */
export function forgetShown(promptId: string): void {
  ours.delete(promptId);
  if (previous?.promptId === promptId) previous = null;
  if (shown()?.promptId === promptId) show(null);
}

/** A run was started from the document; `nodes` are those of its plan. */
export function runStarted(promptId: string, nodes: Record<string, [string, string]>): void {
  ours.add(promptId);
  const heard = heardOf(promptId);
  const busy = shown()?.phase === "pending" || shown()?.phase === "running";
  if (heard && (!busy || heard === tracked?.tracker)) {
    show(heard);
  } else if (!busy) {
    const waiting = createTracker({ prompt_id: promptId }, inDocument);
    waiting.plan(nodes);
    show(waiting);
    if (!queue.get().some((run) => run.prompt_id === promptId)) void catchUp(promptId);
  }
}

const known = new Set(["cached", "running", "done", "failed"]);

function changesOf(detail: RunDetail): Record<string, NodeChange> {
  const nodes: Record<string, NodeChange> = {};
  for (const { node, state, ms } of detail.nodes ?? []) {
    if (known.has(state)) nodes[node] = { state: state as NodeChange["state"], ms };
  }
  return nodes;
}

function learn(tracker: Tracker, detail: RunDetail): void {
  const graph = Object.entries(detail.expanded ?? {});
  tracker.plan(Object.fromEntries(graph.map(([id, node]) => [id, [node.class_type, tracker.display(id)]])));
}

/** The document was opened from this run: show how it went. */
export function showRun(detail: RunDetail): void {
  ours.add(detail.prompt_id);
  const followed = follows.get(detail.prompt_id);
  if (followed) {
    show(followed.tracker);
    return;
  }
  const tracker = createTracker(detail, (id) => id in detail.document.graph);
  learn(tracker, detail);
  tracker.apply(changesOf(detail));
  tracker.phase = detail.state === "pending" ? "pending" : "ended";
  show(tracker);
  for (const file of detail.outputs ?? []) showFile(file);
  if (detail.error) showFailure(detail.error);
}

/** A run we did not start: show it when it is of the graph that is open. Without its plan, learn that too. */
async function adopt(tracker: Tracker, needsPlan = false): Promise<void> {
  const mine = ours.has(tracker.promptId);
  if (mine) show(tracker);
  if (mine && !needsPlan) return;
  const detail = await api.runDetail(tracker.promptId).catch(() => null);
  if (!detail) return;
  if (needsPlan) learn(tracker, detail);
  if (tracker !== tracked?.tracker) return;
  if (ours.has(tracker.promptId) || meaning(detail.document) === meaning(toApi(currentDoc()))) show(tracker);
  publishAll();
}

// -------------------------------------------------------------------------------------------------------------- events

/** The run is under way. */
function follow(promptId: string): Followed {
  const known = follows.get(promptId);
  if (known) return known;
  const tracker = createTracker({ prompt_id: promptId }, inDocument);
  tracker.phase = "running";
  const followed = { tracker, since: Date.now(), expected: expectedNow };
  follows.set(promptId, followed);
  return followed;
}

/** From the pace so far, once there is one; before, from the plan. */
function secondsLeft(share: number, summary: PlanSummary | undefined): number | null {
  const elapsed = (Date.now() - (tracked?.since ?? Date.now())) / 1000;
  if (share > 0.1) return (elapsed * (1 - share)) / share;
  return summary?.seconds != null ? summary.seconds * (1 - share) : null;
}

function progress(): void {
  const run = queue.get().find((entry) => entry.prompt_id === tracked?.tracker.promptId);
  if (!tracked || !run) {
    running.set(null);
    return;
  }
  const { tracker, summary, expected } = tracked;
  const share = tracker.share(expected);
  running.set({ run, summary, share, secondsLeft: secondsLeft(share, summary) });
}

function setQueue(next: Run[], needsPlan = false): void {
  queue.set(next);
  for (const run of next) {
    if (run.state !== "running" || follows.has(run.prompt_id)) continue;
    const followed = follow(run.prompt_id);
    if (needsPlan && run.started_ms) followed.since = run.started_ms;
  }
  const first = next.find((entry) => entry.state === "running");
  const followed = (first && follows.get(first.prompt_id)) ?? null;
  if (followed !== tracked) {
    tracked = followed;
    running.set(null);
    if (tracked) void adopt(tracked.tracker, needsPlan);
  }
  const seen = shown();
  if (seen?.phase === "pending" && !next.some((entry) => entry.prompt_id === seen.promptId)) {
    void catchUp(seen.promptId);
  }
  progress();
}

/** What became of a run that we did not see end: a stored one is faster than the answer to its start. */
async function catchUp(promptId: string): Promise<void> {
  const waiting = shown();
  const detail = await api.runDetail(promptId).catch(() => null);
  if (shown() !== waiting || waiting?.promptId !== promptId) return;
  if (!detail) show(null);
  else if (detail.state === "pending" || detail.state === "running") return;
  else showRun(detail);
}

function onSnapshot(event: Extract<ServerEvent, { type: "snapshot" }>): void {
  if (serverId !== event.server) follows.clear();
  serverId = event.server;
  setQueue(event.queue, true);
  for (const run of event.running) {
    const followed = follow(run.prompt_id);
    followed.summary = run.summary;
    followed.tracker.apply(run.nodes);
    if (shown() === followed.tracker) publishAll();
  }
  for (const promptId of follows.keys()) {
    if (!event.running.some((run) => run.prompt_id === promptId)) follows.delete(promptId);
  }
  progress();
  const seen = shown();
  if (seen && seen.phase !== "ended" && !event.queue.some((run) => run.prompt_id === seen.promptId)) {
    void catchUp(seen.promptId);
  }
}

function onPlanned(event: Extract<ServerEvent, { type: "planned" }>): void {
  const followed = follow(event.prompt_id);
  followed.summary = event.summary;
  followed.tracker.plan(event.expanded);
  progress();
  if (shown() === followed.tracker) publishAll();
}

function onNodes(event: Extract<ServerEvent, { type: "nodes" }>): void {
  const tracker = heardOf(event.prompt_id);
  if (!tracker) return;
  const touched = tracker.apply(event.nodes);
  if (shown() === tracker) publish(touched);
  progress();
}

function onFailed(event: Extract<ServerEvent, { type: "failed" }>): void {
  const { error } = event;
  log("error", error.text || error.message, { node: error.node });
  if (shown()?.promptId === event.prompt_id) showFailure(error);
}

function onDelivered({ file }: Extract<ServerEvent, { type: "delivered" }>): void {
  log("info", `Written: ${file.filename}`, { node: file.node });
}

function onEnded(event: Extract<ServerEvent, { type: "ended" }>): void {
  const tracker = heardOf(event.prompt_id);
  if (tracker) tracker.phase = "ended";
  previous = tracker ?? previous;
  follows.delete(event.prompt_id);
  if (tracker && tracker === shown()) {
    publishAll();
    for (const file of event.run.outputs ?? []) showFile(file); // only now they are stored for certain
  }
  endings.set(event.run);
}

function onEvent(event: ServerEvent): void {
  switch (event.type) {
    case "snapshot":
      return onSnapshot(event);
    case "queue":
      return setQueue(event.queue);
    case "planned":
      return onPlanned(event);
    case "nodes":
      return onNodes(event);
    case "failed":
      return onFailed(event);
    case "ended":
      return onEnded(event);
    case "delivered":
      return onDelivered(event);
    case "warning":
      return log("warning", event.text);
    case "graph_changed":
      return graphChange.set({ path: event.path, etag: event.etag });
    case "log":
      return log(logLevel(event.level), event.text, { timeMs: event.time_ms });
  }
}

function onPreview({ node, run, blob }: Preview): void {
  if (!tracked || shown() !== tracked.tracker) return;
  const number = running.get()?.run.run;
  if (number && run && number !== run) return;
  showPreview(node, blob);
}

function onConnection(next: Connection): void {
  const before = connection.get();
  if (before.connected && !next.connected) log("warning", "The connection to the server is lost; trying again.");
  if (!before.connected && next.connected && serverId !== null) log("info", "Connected again.");
  connection.set(next);
}

let socket: EventSocket | null = null;

/** Opens the socket; further calls do nothing. */
export function connect(): void {
  socket ??= connectEvents({ event: onEvent, preview: onPreview, connection: onConnection });
}

export function retryConnection(): void {
  socket?.retry();
}

/** What nodes cost according to the newest plan, by expanded id: weighs the progress of the next run. */
export function expectSeconds(seconds: ReadonlyMap<string, number>): void {
  expectedNow = seconds;
}

// --------------------------------------------------------------------------------------------------------------- hooks

const whole = <T>(value: T) => value;

export function useConnection(): Connection {
  return useStore(connection, whole);
}

export function useQueue(): Run[] {
  return useStore(queue, whole);
}

export function useRunning(): RunningRun | null {
  return useStore(running, whole);
}

export function useShownRun(): string | null {
  return useStore(shownId, whole);
}

/** The run that ended last; its identity changes with every end. */
export function useLastEnded(): Run | null {
  return useStore(endings, whole);
}

/** The newest change of a file in the graphs folder. */
export function useGraphChange(): { path: string; etag: string | null } | null {
  return useStore(graphChange, whole);
}

/** For code that is not a component. */
export const runState = { queue, running, connection, shown: shownId, ended: endings };
