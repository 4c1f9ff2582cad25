// steps.ts - the nodes a composite expands to, as a person reads them: one card a step, and in it a small graph.

import { isLink, type Graph, type GraphNode } from "../api";

export interface InnerNode {
  id: string;
  /** Within its card: "cond". */
  name: string;
  type: string;
  /** Place in the card. */
  column: number;
  row: number;
  /** Nodes of the same card that feed it. */
  sources: string[];
}

export interface Card {
  /** "step_03"; "" for nodes that are in no step. */
  name: string;
  nodes: InnerNode[];
  columns: number;
  rows: number;
}

function sourcesOf(node: GraphNode): string[] {
  return Object.values(node.inputs).flatMap((value) => (isLink(value) ? [value[0]] : []));
}

/** Columns by the longest path inside the card. */
function arrange(name: string, members: [string, GraphNode][], prefix: string): Card {
  const inside = new Map(members);
  const columns = new Map<string, number>();
  const columnOf = (id: string, depth: number): number => {
    const known = columns.get(id);
    if (known !== undefined || depth > inside.size) return known ?? 0;
    const before = sourcesOf(inside.get(id)!).filter((source) => inside.has(source));
    const column = before.length > 0 ? 1 + Math.max(...before.map((source) => columnOf(source, depth + 1))) : 0;
    columns.set(id, column);
    return column;
  };
  const filled = new Map<number, number>();
  const nodes = members.map(([id, node]): InnerNode => {
    const column = columnOf(id, 0);
    const row = filled.get(column) ?? 0;
    filled.set(column, row + 1);
    const sources = sourcesOf(node).filter((source) => inside.has(source));
    return { id, name: id.slice(prefix.length), type: node.class_type, column, row, sources };
  });
  return { name, nodes, columns: filled.size, rows: Math.max(...filled.values()) };
}

/** Cards of a scope, in order of their names; nodes without a step come first. */
export function cardsOf(expanded: Graph, scope: string): Card[] {
  const members = new Map<string, [string, GraphNode][]>();
  for (const [id, node] of Object.entries(expanded)) {
    if (!id.startsWith(`${scope}/`)) continue;
    const rest = id.slice(scope.length + 1);
    const name = rest.includes("/") ? rest.slice(0, rest.indexOf("/")) : "";
    members.set(name, [...(members.get(name) ?? []), [id, node]]);
  }
  return [...members]
    .sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }))
    .map(([name, nodes]) => arrange(name, nodes, name ? `${scope}/${name}/` : `${scope}/`));
}

/** "step 3" of "step_03". */
export const cardTitle = (name: string) =>
  name ? name.replace(/_0*(\d)/, " $1").replaceAll("_", " ") : "before the steps";

export const cell = { width: 100, height: 40, gap: 20, rowGap: 4, inset: 10, title: 24 };
const cardGap = 8;

/** About as wide as high, for any number of steps. */
export const cardsAcross = (count: number) => Math.max(1, Math.min(5, Math.round(Math.sqrt(count / 2))));

export const cellX = (column: number) => cell.inset + column * (cell.width + cell.gap);
export const cellY = (row: number) => row * (cell.height + cell.rowGap);

export const cardWidth = (card: Card) => cellX(card.columns - 1) + cell.width + cell.inset;

/** Width of all cards with the gaps between them: what a node grows by when it is unfolded. */
export function cardsWidth(cards: readonly Card[]): number {
  if (cards.length === 0) return 0;
  const across = cardsAcross(cards.length);
  const columns = Array.from({ length: across }, (_, column) =>
    Math.max(0, ...cards.filter((_, i) => i % across === column).map((card) => cardWidth(card) + 2)),
  );
  return columns.reduce((sum, width) => sum + width, 0) + (across + 1) * cardGap;
}
