// fuzzy.ts - finding node types by a few letters.

import type { NodeType } from "../api";
import { isForeign, isRefused, typeTitle } from "../catalog";

/** How well the letters of `query` are found in `text`, in order; null: they are not. Whole words and starts count more. */
export function score(query: string, text: string): number | null {
  const wanted = query.toLowerCase();
  const found = text.toLowerCase();
  const at = found.indexOf(wanted);
  if (at >= 0) return 100 - at + (at === 0 || /[\s_]/.test(found[at - 1]!) ? 50 : 0) - found.length / 100;
  let from = 0;
  let points = 0;
  for (const letter of wanted) {
    const next = found.indexOf(letter, from);
    if (next < 0) return null;
    points += next === from ? 2 : 0;
    if (next === 0 || /[\s_]/.test(found[next - 1]!)) points += 3;
    from = next + 1;
  }
  return points - found.length / 100;
}

/** The best first; all of them, by name, without a query. */
export function findTypes(types: Iterable<NodeType>, query: string): NodeType[] {
  const text = query.trim();
  const rated: [NodeType, number][] = [];
  for (const type of types) {
    if (isRefused(type)) continue;
    const title = typeTitle(type, type.name);
    const byName = Math.max(score(text, title) ?? -Infinity, score(text, type.name) ?? -Infinity);
    const byDoc = text.length > 2 && type.doc?.toLowerCase().includes(text.toLowerCase()) ? 0 : -Infinity;
    const points = (text ? Math.max(byName, byDoc) : 0) - (isForeign(type) ? 10 : 0);
    if (points > -Infinity) rated.push([type, points]);
  }
  return rated
    .sort(([a, p], [b, q]) => q - p || typeTitle(a, a.name).localeCompare(typeTitle(b, b.name)))
    .map(([type]) => type);
}
