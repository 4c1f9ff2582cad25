// differences.ts - in which settings two graphs differ.

import { isLink, type GraphDocument, type InputValue } from "../api";
import { writeJson } from "../json";

export interface Difference {
  node: string;
  /** "" : the node itself. */
  input: string;
  left: string;
  right: string;
}

const missing = "\u2013";

function show(value: InputValue | undefined): string {
  if (value === undefined) return missing;
  if (isLink(value)) return `from ${value[0]}`;
  return typeof value === "string" ? value || "(empty)" : writeJson(value);
}

function inputDifferences(node: string, left: Record<string, InputValue>, right: Record<string, InputValue>) {
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return names
    .filter((name) => writeJson(left[name]) !== writeJson(right[name]))
    .map((input): Difference => ({ node, input, left: show(left[input]), right: show(right[input]) }));
}

export function differences(left: GraphDocument, right: GraphDocument): Difference[] {
  const ids = [...new Set([...Object.keys(left.graph), ...Object.keys(right.graph)])];
  return ids.flatMap((id) => {
    const a = left.graph[id];
    const b = right.graph[id];
    if (a && b && a.class_type === b.class_type) return inputDifferences(id, a.inputs, b.inputs);
    return [{ node: id, input: "", left: a?.class_type ?? missing, right: b?.class_type ?? missing }];
  });
}
