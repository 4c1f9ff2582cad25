// layout.ts - places for nodes: columns by the longest path from a source, rows by where the links of a node come from.

import { nodeType } from "../catalog";
import {
  boxAround,
  columnGap,
  foldedSize,
  frameHeader,
  frameMargin,
  grid,
  nodeSize,
  type Box,
  type Size,
} from "./geometry";
import { isFolded } from "./scopes";
import { linksOf, type Doc, type DocNode, type Point } from "./model";

const rowGap = 32;

const sizeOf = (node: DocNode) => nodeSize(nodeType(node.type), node);
const snap = (value: number) => Math.round(value / grid) * grid;

export function boxOf(node: DocNode): Box {
  return { x: node.meta.pos[0], y: node.meta.pos[1], ...sizeOf(node) };
}

/** What is placed as one: a node, or a scope with all it holds. */
interface Item {
  id: string;
  size: Size;
  sources: Set<string>;
}

/** Sources before what they feed; a circle is entered at its first item. */
function inOrder(items: ReadonlyMap<string, Item>): Item[] {
  const order: Item[] = [];
  const seen = new Set<string>();
  const stack = [...items.values()].reverse().map((item) => ({ item, leave: false }));
  while (stack.length > 0) {
    const { item, leave } = stack.pop()!;
    if (leave) {
      order.push(item);
      continue;
    }
    if (seen.has(item.id)) continue;
    seen.add(item.id);
    stack.push({ item, leave: true });
    for (const id of item.sources) {
      const source = items.get(id);
      if (source && !seen.has(id)) stack.push({ item: source, leave: false });
    }
  }
  return order;
}

/** The column of each item; one that only feeds stands just before its nearest reader. */
function columnsOf(order: readonly Item[]): Map<string, number> {
  const columns = new Map<string, number>();
  const nearest = new Map<string, number>();
  for (const { id, sources } of order) {
    const before = [...sources].map((source) => columns.get(source) ?? 0);
    const column = before.length > 0 ? Math.max(...before) + 1 : 0;
    columns.set(id, column);
    for (const source of sources) nearest.set(source, Math.min(nearest.get(source) ?? Infinity, column));
  }
  for (const { id, sources } of order) {
    const reader = nearest.get(id);
    if (reader !== undefined && sources.size === 0) columns.set(id, reader - 1);
  }
  return columns;
}

function inColumns(order: readonly Item[]): Item[][] {
  const columns = columnsOf(order);
  const lists: Item[][] = [];
  for (const item of order) (lists[columns.get(item.id)!] ??= []).push(item);
  return lists.filter(Boolean);
}

/** Corners of the items, the whole at 0, 0: each stands beside what feeds it. */
function placeItems(items: ReadonlyMap<string, Item>): Map<string, Point> {
  const places = new Map<string, Point>();
  const middles = new Map<string, number>();
  const wantedY = (item: Item) => {
    const heights = [...item.sources].map((id) => middles.get(id)).filter((y) => y !== undefined);
    return heights.length > 0 ? heights.reduce((sum, y) => sum + y, 0) / heights.length : 0;
  };
  let x = 0;
  for (const column of inColumns(inOrder(items))) {
    const wanted = new Map(column.map((item) => [item.id, wantedY(item)]));
    column.sort((a, b) => wanted.get(a.id)! - wanted.get(b.id)!);
    const total = column.reduce((sum, { size }) => sum + size.height + rowGap, -rowGap);
    let y = column.reduce((sum, { id }) => sum + wanted.get(id)!, 0) / column.length - total / 2;
    for (const { id, size } of column) {
      places.set(id, [snap(x), snap(y)]);
      middles.set(id, y + size.height / 2);
      y += size.height + rowGap;
    }
    x += Math.max(...column.map(({ size }) => size.width)) + columnGap;
  }
  const top = Math.min(...[...places.values()].map(([, y]) => y));
  for (const [id, [left, y]] of places) places.set(id, [left, y - top]);
  return places;
}

/** "a/b" of "a/b/c" inside "a": the item of scope `outer` that a node belongs to. */
function itemOf(id: string, outer: string): string {
  const from = outer ? outer.length + 1 : 0;
  const slash = id.indexOf("/", from);
  return slash < 0 ? id : id.slice(0, slash);
}

const isIn = (id: string, scope: string) => scope === "" || id.startsWith(`${scope}/`);

/** Places of all nodes of a scope, its own corner at 0, 0: scopes inside it first, as boxes. */
function placeScope(doc: Doc, nodes: readonly DocNode[], scope: string, places: Map<string, Point>): Size {
  const members = new Map<string, DocNode[]>();
  for (const node of nodes) {
    const item = itemOf(node.id, scope);
    members.set(item, [...(members.get(item) ?? []), node]);
  }
  const items = new Map<string, Item>();
  for (const [id, inside] of members) {
    const single = inside.length === 1 && inside[0]!.id === id;
    const size = single ? sizeOf(inside[0]!) : scopeSize(doc, id, placeScope(doc, inside, id, places));
    items.set(id, { id, size, sources: new Set() });
  }
  for (const [id, inside] of members) {
    for (const link of inside.flatMap((node) => [...linksOf(node)])) {
      const source = isIn(link.source, scope) ? itemOf(link.source, scope) : "";
      if (source !== id && items.has(source)) items.get(id)!.sources.add(source);
    }
  }
  const corners = placeItems(items);
  for (const [id, inside] of members) {
    const [x, y] = corners.get(id)!;
    for (const node of inside) {
      const [innerX, innerY] = node.id === id ? [0, 0] : places.get(node.id)!;
      const [dx, dy] = node.id === id ? [0, 0] : [frameMargin, frameMargin + frameHeader];
      places.set(node.id, [x + innerX + dx, y + innerY + dy]);
    }
  }
  const box = boxAround(
    [...items.values()].map(({ id, size }) => ({ x: corners.get(id)![0], y: corners.get(id)![1], ...size })),
  )!;
  return { width: box.width, height: box.height };
}

/** A folded scope takes little room; unfolding it moves the others aside (scopes/unfold.ts). */
function scopeSize(doc: Doc, scope: string, { width, height }: Size): Size {
  if (isFolded(doc, scope)) return foldedSize;
  return { width: width + 2 * frameMargin, height: height + 2 * frameMargin + frameHeader };
}

/** Places for `ids`: beside the nodes that keep theirs, if there are any. */
export function layOut(doc: Doc, ids: ReadonlySet<string>): Doc {
  const fixed = boxAround([...doc.nodes.values()].filter((node) => !ids.has(node.id)).map(boxOf));
  const [left, top]: Point = fixed ? [fixed.x, fixed.y + fixed.height + 2 * rowGap] : [0, 0];
  const places = new Map<string, Point>();
  placeScope(
    doc,
    [...doc.nodes.values()].filter((node) => ids.has(node.id)),
    "",
    places,
  );
  const nodes = new Map(doc.nodes);
  for (const [id, [x, y]] of places) {
    const node = nodes.get(id)!;
    nodes.set(id, { ...node, meta: { ...node.meta, pos: [left + x, top + y] } });
  }
  return { ...doc, nodes };
}
