// layout.ts - places for nodes: columns by the longest path from a source, rows by where the links of a node come from.

import { nodeType } from "../catalog";
import { boxAround, grid, nodeSize, type Box } from "./geometry";
import { linksOf, type Doc, type DocNode, type Point } from "./model";

const columnGap = 96;
const rowGap = 40;

const sizeOf = (node: DocNode) => nodeSize(nodeType(node.type), node);
const snap = (value: number) => Math.round(value / grid) * grid;

export function boxOf(node: DocNode): Box {
  return { x: node.meta.pos[0], y: node.meta.pos[1], ...sizeOf(node) };
}

/** Sources before what they feed; a circle is entered at its first node. */
function inOrder(nodes: ReadonlyMap<string, DocNode>): DocNode[] {
  const order: DocNode[] = [];
  const seen = new Set<string>();
  const stack: { node: DocNode; leave: boolean }[] = [...nodes.values()].reverse().map((node) => ({ node, leave: false }));
  while (stack.length > 0) {
    const { node, leave } = stack.pop()!;
    if (leave) {
      order.push(node);
      continue;
    }
    if (seen.has(node.id)) continue;
    seen.add(node.id);
    stack.push({ node, leave: true });
    for (const link of linksOf(node)) {
      const source = nodes.get(link.source);
      if (source && !seen.has(source.id)) stack.push({ node: source, leave: false });
    }
  }
  return order;
}

const sourcesOf = (node: DocNode, nodes: ReadonlyMap<string, DocNode>) =>
  [...linksOf(node)].map((link) => nodes.get(link.source)).filter((source) => source !== undefined);

/** The column of each node; a node that only feeds stands just before its nearest reader. */
function columnsOf(order: readonly DocNode[], nodes: ReadonlyMap<string, DocNode>): Map<string, number> {
  const columns = new Map<string, number>();
  for (const node of order) {
    const before = sourcesOf(node, nodes).map((source) => columns.get(source.id) ?? 0);
    columns.set(node.id, before.length > 0 ? Math.max(...before) + 1 : 0);
  }
  const nearest = new Map<string, number>();
  for (const node of order) {
    for (const source of sourcesOf(node, nodes)) {
      nearest.set(source.id, Math.min(nearest.get(source.id) ?? Infinity, columns.get(node.id)!));
    }
  }
  for (const node of order) {
    const reader = nearest.get(node.id);
    if (reader !== undefined && sourcesOf(node, nodes).length === 0) columns.set(node.id, reader - 1);
  }
  return columns;
}

/** Height of the middle of a node's sources: a node stands beside what feeds it. */
function wantedY(node: DocNode, nodes: ReadonlyMap<string, DocNode>, middles: ReadonlyMap<string, number>): number {
  const heights = sourcesOf(node, nodes)
    .map((source) => middles.get(source.id))
    .filter((y) => y !== undefined);
  return heights.length > 0 ? heights.reduce((sum, y) => sum + y, 0) / heights.length : 0;
}

function placesOf(nodes: ReadonlyMap<string, DocNode>, origin: Point): Map<string, Point> {
  const order = inOrder(nodes);
  const columns = columnsOf(order, nodes);
  const inColumn = new Map<number, DocNode[]>();
  for (const node of order) {
    const column = columns.get(node.id)!;
    inColumn.set(column, [...(inColumn.get(column) ?? []), node]);
  }
  const places = new Map<string, Point>();
  const middles = new Map<string, number>();
  let x = origin[0];
  for (const [, column] of [...inColumn].sort(([a], [b]) => a - b)) {
    const wanted = new Map(column.map((node) => [node.id, wantedY(node, nodes, middles)]));
    column.sort((a, b) => wanted.get(a.id)! - wanted.get(b.id)!);
    const heights = column.map((node) => sizeOf(node).height);
    const total = heights.reduce((sum, height) => sum + height + rowGap, -rowGap);
    const centre = column.reduce((sum, node) => sum + wanted.get(node.id)!, 0) / column.length;
    let y = centre - total / 2;
    column.forEach((node, i) => {
      places.set(node.id, [snap(x), snap(origin[1] + y)]);
      middles.set(node.id, y + heights[i]! / 2);
      y += heights[i]! + rowGap;
    });
    x += Math.max(...column.map((node) => sizeOf(node).width)) + columnGap;
  }
  return places;
}

/** Places for `ids`: beside the nodes that keep theirs, if there are any. */
export function layOut(doc: Doc, ids: ReadonlySet<string>): Doc {
  const moving = new Map([...doc.nodes].filter(([id]) => ids.has(id)));
  const fixed = boxAround([...doc.nodes.values()].filter((node) => !ids.has(node.id)).map(boxOf));
  const origin: Point = fixed ? [fixed.x, fixed.y + fixed.height + 2 * rowGap] : [0, 0];
  const places = placesOf(moving, origin);
  const top = Math.min(...[...places.values()].map(([, y]) => y));
  const nodes = new Map(doc.nodes);
  for (const [id, [x, y]] of places) {
    const node = nodes.get(id)!;
    nodes.set(id, { ...node, meta: { ...node.meta, pos: [x, y - top + origin[1]] } });
  }
  return { ...doc, nodes };
}
