// shown.ts - the node states that the open document shows: those of one run, with its previews and its failure.

import type { GraphError, OutputFile, Plan } from "../api";
import { currentDoc } from "../document/session";
import { createStore } from "../store";
import { createKeyed, useKeyed } from "./keyed";
import { downstreamOf } from "./meaning";
import { createPreviewUrls } from "./previews";
import { learnStored, pictureOf, storedOf } from "./stored";
import { idle, scopesOf, type NodeState, type Tracker } from "./tracker";

const nodeStates = createKeyed<NodeState>(idle);
const previews = createPreviewUrls();
let tracker: Tracker | null = null;
let failure: { display: string; error: GraphError; blocked: Set<string> } | null = null;

/** The prompt whose states are shown. */
export const shownId = createStore<string | null>(null);

export const shown = () => tracker;

function equal(a: NodeState, b: NodeState): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof NodeState>;
  return [...names].every((name) => Object.is(a[name], b[name]) || (name === "steps" && `${a.steps}` === `${b.steps}`));
}

function stateOf(id: string): NodeState {
  let state = tracker?.state(id) ?? idle;
  if (failure && (failure.display === id || failure.error.node === id)) {
    state = { ...state, state: "error", error: failure.error };
  } else if (failure?.blocked.has(id) && (state.state === "queued" || state.state === "idle")) {
    state = { state: "blocked", waitsFor: failure.display };
  }
  const stored = storedOf(id);
  if (state.state === "idle" && stored?.complete) state = { state: "cached" };
  const picture = previews.get(id) ?? stored?.picture;
  return picture ? { ...state, previewUrl: picture } : state;
}

/** Their states may differ now. */
export function publish(ids: Iterable<string>): void {
  for (const id of ids) {
    const next = stateOf(id);
    if (!equal(nodeStates.get(id), next)) nodeStates.set(id, next);
  }
}

export function publishAll(): void {
  publish(new Set([...nodeStates.keys(), ...(tracker?.ids() ?? []), ...(failure?.blocked ?? [])]));
}

export function show(next: Tracker | null): void {
  if (tracker === next) return;
  tracker = next;
  failure = null;
  shownId.set(tracker?.promptId ?? null);
  publishAll();
}

/** The run that is shown failed: what reads the culprit is blocked. */
export function showFailure(error: GraphError): void {
  const display = error.node && tracker ? tracker.display(error.node) : "";
  failure = { display, error, blocked: display ? downstreamOf(currentDoc(), display) : new Set() };
  publishAll();
}

/** A live picture of a node: shown there, in the scopes around it and at the node of the document. */
export function showPreview(node: string, blob: Blob): void {
  const ids = [node, ...scopesOf(node), tracker?.display(node) ?? node];
  previews.put(URL.createObjectURL(blob), ids);
  publish(ids);
}

/** What is stored according to the newest plan. */
export function showStored(plan: Plan, displayOf: (id: string) => string): void {
  publish(learnStored(plan, displayOf));
}

const pictured = new Set(["video", "animation", "image"]);

/** What a node has written, where the store has a picture of it. */
export function showFile({ node, key, kind }: OutputFile): void {
  if (!key || !pictured.has(kind)) return;
  previews.put(pictureOf(key, true), [node]);
  publish([node]);
}

export const dropPreviews = () => previews.clear();

/** A node of the document, a scope, or an expanded node. */
export function useNodeState(id: string): NodeState {
  return useKeyed(nodeStates, id);
}

