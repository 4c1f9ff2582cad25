// branch.ts - a run's graph cut in two at one of its steps, ready for other settings or another prompt.

import { api, isLink, type GraphDocument, type GraphNode } from "../api";
import { select } from "../canvas/selection";
import { nodeType } from "../catalog";
import { openDocument } from "../document/actions";
import { isText, nodeSize } from "../document/geometry";
import { report } from "./actions";

const gap = 32;

function heightOf(id: string, { class_type, inputs, _meta }: GraphNode): number {
  return nodeSize(nodeType(class_type), { id, type: class_type, inputs, meta: { ..._meta, pos: [0, 0] } }).height;
}

/** The second half has its place beside the first; what stood there moves to the right. */
function makeRoom({ graph }: GraphDocument, first: string, second: string): void {
  const left = graph[first]?._meta?.pos?.[0];
  const right = graph[second]?._meta?.pos?.[0];
  if (left === undefined || right === undefined) return;
  for (const [id, { _meta }] of Object.entries(graph)) {
    if (id !== second && _meta?.pos && _meta.pos[0] > left) _meta.pos = [_meta.pos[0] + right - left, _meta.pos[1]];
  }
}

const isPrompt = ({ class_type, inputs }: GraphNode) =>
  (nodeType(class_type)?.inputs ?? []).some((input) => isText(input) && typeof inputs[input.name] === "string");

function copyNode(graph: GraphDocument["graph"], id: string, pos: [number, number]): string {
  let name = `${id}_branch`;
  for (let n = 2; name in graph; n++) name = `${id}_branch_${n}`;
  const { class_type, inputs, _meta } = graph[id]!;
  const { title, mode } = _meta ?? {};
  const meta = { title: `${title ?? id}, branch`, pos, ...(mode && { mode }) };
  graph[name] = { class_type, inputs: { ...inputs }, _meta: meta };
  return name;
}

/** Prompts of its own for the second half, below the first: a change of shared ones would compute that anew. */
function copyPrompts({ graph }: GraphDocument, first: string, second: string): void {
  const { inputs } = graph[second]!;
  const copies = new Map<string, string>();
  const [x, top] = graph[first]?._meta?.pos ?? [0, 0];
  let y = top + heightOf(first, graph[first]!) + gap;
  for (const [name, value] of Object.entries(inputs)) {
    if (!isLink(value) || !graph[value[0]] || !isPrompt(graph[value[0]]!)) continue;
    let copy = copies.get(value[0]);
    if (!copy) {
      copy = copyNode(graph, value[0], [x, y]);
      copies.set(value[0], copy);
      y += heightOf(copy, graph[copy]!) + gap;
    }
    inputs[name] = [copy, value[1]];
  }
}

/** Opens the run's graph with the sampling node cut in two after `steps` steps, the second half selected. */
export async function branchFrom(run: { id: string; name: string }, scope: string, steps: number): Promise<boolean> {
  try {
    const { document, first, second } = await api.fork(run.id, scope, steps);
    makeRoom(document, first, second);
    copyPrompts(document, first, second);
    openDocument(document, { name: `${run.name}, from step ${steps}` });
    select([second]);
    return true;
  } catch (reason) {
    report("No branch", reason);
    return false;
  }
}
