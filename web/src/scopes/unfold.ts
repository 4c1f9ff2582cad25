// unfold.ts - what is unfolded grows, and what stands beside it makes room, in one step of undo.

import { nodeType } from "../catalog";
import { edit } from "../document/actions";
import { moveNodes, sequence, setFolded, type Edit } from "../document/edits";
import { boxAround, foldedSize, frameHeader, frameMargin, nodeSize, type Box, type Size } from "../document/geometry";
import { boxOf } from "../document/layout";
import type { Doc, Point } from "../document/model";
import { isFolded, isInside, nodesInside } from "../document/scopes";
import { currentDoc } from "../document/session";
import { expandedGraph } from "../runs/plan";
import { cardsOf, cardsWidth } from "./steps";

/** A box becomes `after` large: what is right of it, and what is below it, keeps its distance. */
function makeRoom(doc: Doc, box: Box, after: Size, isPart: (id: string) => boolean): Edit {
  const places = new Map<string, Point>();
  for (const { id, meta } of doc.nodes.values()) {
    if (isPart(id)) continue;
    const [x, y] = meta.pos;
    if (x >= box.x + box.width) places.set(id, [x + after.width - box.width, y]);
    else if (y >= box.y + box.height) places.set(id, [x, y + after.height - box.height]);
  }
  return moveNodes(places);
}

/** A composite with its steps beside its fields, or without them. */
export function toggleSteps(id: string): void {
  const doc = currentDoc();
  const node = doc.nodes.get(id);
  if (!node) return;
  const unfolded = doc.folded[id] === false;
  const growth = cardsWidth(cardsOf(expandedGraph.get(), id));
  const [x, y] = node.meta.pos;
  const { width, height } = nodeSize(nodeType(node.type), node);
  const [before, after] = unfolded ? [width + growth, width] : [width, width + growth];
  const room = makeRoom(doc, { x, y, width: before, height }, { width: after, height }, (other) => other === id);
  edit(sequence([setFolded(id, unfolded), room]));
}

/** A scope of the document as one box, or as its nodes in a frame. */
export function toggleScope(scope: string): void {
  const doc = currentDoc();
  const inside = boxAround(nodesInside(doc, scope).map(boxOf));
  if (!inside) return;
  const folded = isFolded(doc, scope);
  const framed = { width: inside.width + 2 * frameMargin, height: inside.height + 2 * frameMargin + frameHeader };
  const [before, after] = folded ? [foldedSize, framed] : [framed, foldedSize];
  const box = { x: inside.x, y: inside.y, ...before };
  edit(sequence([setFolded(scope, !folded), makeRoom(doc, box, after, (id) => isInside(id, scope))]));
}
