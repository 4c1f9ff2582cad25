// useFlow.ts - between React Flow and the document. While a hand drags, places live here; they enter the document when
// it lets go, so that a gesture is one step of undo.

import { applyEdgeChanges, applyNodeChanges, type EdgeChange, type NodeChange } from "@xyflow/react";
import { useCallback, useEffect, useRef, useState } from "react";
import { catalog } from "../catalog";
import { edit } from "../document/actions";
import { moveNodes, patchGroup, sequence, type Edit } from "../document/edits";
import type { Doc, Point } from "../document/model";
import { currentDoc, session, useDoc } from "../document/session";
import { nodeTitle } from "../document/names";
import { announce } from "../page/announce";
import { isInside, nodesInGroup, nodesInside, groupOfCanvasId, scopeOfCanvasId } from "../document/scopes";
import { useStore } from "../store";
import { flowLinks, flowNodes, type FlowLink, type FlowNode } from "./flow";
import { selection, useSelection } from "./selection";
import { carry, fitDrawn } from "./viewport";

type PositionChange = Extract<NodeChange<FlowNode>, { type: "position" }>;

/** What moves along with a box. */
function carriedBy(doc: Doc, canvasId: string): string[] {
  const group = groupOfCanvasId(canvasId);
  if (group !== null) return nodesInGroup(doc, group);
  const scope = scopeOfCanvasId(canvasId);
  return scope === null ? [] : nodesInside(doc, scope).map((node) => node.id);
}

/** Positions of the change, and of all that its boxes carry. */
function withCarried(changes: NodeChange<FlowNode>[], nodes: readonly FlowNode[]): NodeChange<FlowNode>[] {
  const doc = currentDoc();
  const moved = new Set(changes.flatMap((change) => (change.type === "position" ? [change.id] : [])));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const all = [...changes];
  for (const change of changes) {
    if (change.type !== "position" || !change.position) continue;
    const box = byId.get(change.id);
    if (!box) continue;
    const dx = change.position.x - box.position.x;
    const dy = change.position.y - box.position.y;
    const scope = scopeOfCanvasId(change.id);
    const inner =
      scope === null
        ? []
        : nodes.filter((node) => isInside(scopeOfCanvasId(node.id) ?? "", scope)).map((node) => node.id);
    for (const id of [...carriedBy(doc, change.id), ...inner]) {
      const node = byId.get(id);
      if (!node || moved.has(id)) continue;
      moved.add(id);
      all.push({ ...change, id, position: { x: node.position.x + dx, y: node.position.y + dy } });
    }
  }
  return all;
}

/** What a folded scope was moved by moves all it holds. */
function foldedMoves(doc: Doc, node: FlowNode, places: Map<string, Point>): void {
  if (node.type !== "scope") return;
  const inside = nodesInside(doc, node.data.scope);
  const left = Math.min(...inside.map(({ meta }) => meta.pos[0]));
  const top = Math.min(...inside.map(({ meta }) => meta.pos[1]));
  for (const { id, meta } of inside) {
    places.set(id, [meta.pos[0] + node.position.x - left, meta.pos[1] + node.position.y - top]);
  }
}

/** The edit that puts the document where the canvas is. */
function moveEdit(doc: Doc, nodes: readonly FlowNode[]): Edit {
  const places = new Map<string, Point>();
  const groups: Edit[] = [];
  for (const node of nodes) {
    const { x, y } = node.position;
    foldedMoves(doc, node, places);
    if (node.type === "node") places.set(node.id, [x, y]);
    if (node.type === "group") {
      const [left, top, width, height] = node.data.group.box;
      if (left !== x || top !== y) groups.push(patchGroup(node.data.group.id, { box: [x, y, width, height] }));
    }
  }
  return sequence([moveNodes(places), ...groups]);
}

/** Where it is after the move; React Flow tells where it was. */
function sayPlace(nodes: readonly FlowNode[], ids: ReadonlySet<string>): void {
  const node = nodes.find((other) => ids.has(other.id) && other.type === "node");
  if (node?.type === "node") {
    announce(`Moved ${nodeTitle(node.data.node)} to ${Math.round(node.position.x)}, ${Math.round(node.position.y)}.`);
  }
}

function nextSelection(
  now: ReadonlySet<string>,
  changes: { type: string; id?: string; selected?: boolean }[],
): ReadonlySet<string> {
  const next = new Set(now);
  for (const { type, id, selected } of changes) {
    if (type !== "select" || !id) continue;
    if (selected) next.add(id);
    else next.delete(id);
  }
  return next;
}

/** How far everything that is drawn is being carried by hand; null: something stays where it is. React Flow counts from
 *  where each node was when the drag began, so that nothing needs to be drawn before the hand lets go. */
function carriedAll(changes: readonly NodeChange<FlowNode>[], nodes: readonly FlowNode[]): Point | null {
  const moves = changes.filter(isPosition).filter((change) => change.dragging && change.position);
  if (moves.length < nodes.length || nodes.length < 2) return null;
  const { id, position } = moves[0]!;
  const node = nodes.find((other) => other.id === id);
  return node ? [position!.x - node.position.x, position!.y - node.position.y] : null;
}

const isPosition = (change: NodeChange<FlowNode>): change is PositionChange => change.type === "position";

export function useFlow() {
  const doc = useDoc();
  const types = useStore(catalog, (now) => now.types);
  const opened = useStore(session, (now) => now.opened);
  const chosen = useSelection();
  const [nodes, setNodes] = useState<FlowNode[]>([]);
  const [links, setLinks] = useState<FlowLink[]>([]);
  const drawn = useRef(nodes);
  const byHand = useRef(false);

  const draw = useCallback((next: FlowNode[]) => {
    drawn.current = next;
    setNodes(next);
  }, []);

  useEffect(() => draw(flowNodes(doc, chosen.nodes, drawn.current)), [doc, types, chosen.nodes, draw]);
  useEffect(() => setLinks((now) => flowLinks(doc, chosen.links, now)), [doc, types, chosen.links]);
  useEffect(fitDrawn, [opened, types]);

  const onNodesChange = useCallback(
    (changes: NodeChange<FlowNode>[]) => {
      const marked = changes.filter((change) => change.type === "select");
      if (marked.length > 0) {
        selection.set((now) => ({ ...now, inner: null, nodes: nextSelection(now.nodes, marked) }));
      }
      const all = withCarried(changes, drawn.current).filter(
        (change) => change.type !== "select" && change.type !== "remove",
      );
      const by = carriedAll(all, drawn.current);
      carry(by);
      if (by) {
        byHand.current = true;
        return;
      }
      draw(applyNodeChanges(all, drawn.current));
      const moves = all.filter(isPosition);
      const settled = moves.filter((change) => !change.dragging);
      if (settled.length < moves.length) byHand.current = true;
      if (settled.length === 0) return;
      edit(moveEdit(currentDoc(), drawn.current), byHand.current ? null : "arrow keys");
      byHand.current = false;
      sayPlace(drawn.current, new Set(settled.map((change) => change.id)));
    },
    [draw],
  );

  const onLinksChange = useCallback((changes: EdgeChange<FlowLink>[]) => {
    const marked = changes.filter((change) => change.type === "select");
    if (marked.length > 0) {
      selection.set((now) => ({ ...now, inner: null, links: nextSelection(now.links, marked) }));
    }
    setLinks((now) =>
      applyEdgeChanges(
        changes.filter((change) => change.type !== "select" && change.type !== "remove"),
        now,
      ),
    );
  }, []);

  return { nodes, links, onNodesChange, onLinksChange };
}
