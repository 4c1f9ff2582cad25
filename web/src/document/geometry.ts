// geometry.ts - the size of a node, from its type and values alone: layout, frames and the minimap need it before
// anything is drawn. Pixels at zoom 1; theme.css has the same figures.

import type { NodeInput, NodeType } from "../api";
import { hasPreview } from "../catalog";
import { isScalar } from "../ports";
import type { DocNode } from "./model";

export const grid = 8;
export const headerHeight = 32;
export const rowHeight = 24;
export const textHeight = 72;
export const previewHeight = 128;
export const bodyPadding = 8;
export const nodeWidth = 224;
/** Between the columns of a laid out graph. */
export const columnGap = 64;
/** Of the frame around a scope. */
export const frameMargin = 24;
export const frameHeader = 28;

/** Of a folded scope with a few sockets. */
export const foldedSize = { width: nodeWidth, height: 176 };

export interface Size {
  width: number;
  height: number;
}

/** Inputs that are sockets only stand beside the outputs; those with a field have a row of their own. */
export function splitInputs(type: NodeType): { sockets: NodeInput[]; fields: NodeInput[] } {
  const sockets = type.inputs.filter((input) => !isScalar(input.type));
  return { sockets, fields: type.inputs.filter((input) => isScalar(input.type)) };
}

/** The fields on a node: advanced ones only once they have a value of their own. */
export function shownFields(type: NodeType, node: DocNode): NodeInput[] {
  return splitInputs(type).fields.filter((input) => !input.advanced || node.inputs[input.name] !== undefined);
}

export const isText = (input: NodeInput) => input.type === "STRING" && Boolean(input.multiline);

function fieldHeight(input: NodeInput): number {
  return isText(input) ? textHeight + rowHeight : rowHeight;
}

export function leastSize(type: NodeType | undefined, node: DocNode): Size {
  if (node.meta.collapsed) return { width: nodeWidth, height: headerHeight };
  if (!type) return { width: nodeWidth, height: headerHeight + Object.keys(node.inputs).length * rowHeight + 2 * bodyPadding };
  const { sockets } = splitInputs(type);
  const rows = Math.max(sockets.length, type.outputs.length) * rowHeight;
  const widgets = shownFields(type, node).reduce((sum, input) => sum + fieldHeight(input), 0);
  const preview = hasPreview(type) ? previewHeight + bodyPadding : 0;
  return { width: nodeWidth, height: headerHeight + rows + widgets + preview + 2 * bodyPadding };
}

export function nodeSize(type: NodeType | undefined, node: DocNode): Size {
  const least = leastSize(type, node);
  const [width, height] = node.meta.size ?? [0, 0];
  return {
    width: Math.max(160, width || least.width),
    height: node.meta.collapsed ? least.height : Math.max(least.height, height),
  };
}

export interface Box extends Size {
  x: number;
  y: number;
}

export function boxAround(boxes: Iterable<Box>, margin = 0): Box | null {
  let left = Infinity;
  let top = Infinity;
  let right = -Infinity;
  let bottom = -Infinity;
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  }
  if (left > right) return null;
  return { x: left - margin, y: top - margin, width: right - left + 2 * margin, height: bottom - top + 2 * margin };
}

/** Are they nearer to each other than `gap`? */
export function overlap(a: Box, b: Box, gap: number): boolean {
  const apartX = a.x >= b.x + b.width + gap || b.x >= a.x + a.width + gap;
  return !apartX && a.y < b.y + b.height + gap && b.y < a.y + a.height + gap;
}
