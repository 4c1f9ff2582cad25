// flow.ts - from the document to what React Flow draws. What did not change stays the same object, so that React Flow
// and our memoised nodes leave it alone.

import type { Edge, Node } from "@xyflow/react";
import type { Group, NodeType } from "../api";
import { catalog } from "../catalog";
import {
  bodyPadding,
  boxAround,
  frameHeader,
  frameMargin,
  headerHeight,
  nodeSize,
  nodeWidth,
  rowHeight,
  type Box,
} from "../document/geometry";
import { boxOf } from "../document/layout";
import { allLinks, linkId, type Doc, type DocLink, type DocNode, type Point } from "../document/model";
import { nodeTitle } from "../document/names";
import { groupCanvasId, hiddenIn, isFolded, nodesInside, scopeCanvasId, scopesOf } from "../document/scopes";
import type { Selection } from "./selection";

export type GraphNodeData = { node: DocNode; type: NodeType | undefined; unfolded: boolean };
export type GroupData = { group: Group };
export type FrameData = { scope: string; count: number };
/** A folded scope: what goes in and out of it, by the output that feeds it. */
export type ScopeData = { scope: string; count: number; inputs: Port[]; outputs: Port[]; ids: string[] };
export type Port = { handle: string; type: string; label: string };

export type GraphFlowNode = Node<GraphNodeData, "node">;
export type GroupFlowNode = Node<GroupData, "group">;
export type FrameFlowNode = Node<FrameData, "frame">;
export type ScopeFlowNode = Node<ScopeData, "scope">;
export type FlowNode = GraphFlowNode | GroupFlowNode | FrameFlowNode | ScopeFlowNode;

export type LinkData = { type: string; faded: boolean; bends?: readonly Point[] };
export type FlowLink = Edge<LinkData, "link">;

export const domId = (id: string) => `node-${encodeURIComponent(id)}`;

function outputOf(doc: Doc, link: DocLink) {
  const node = doc.nodes.get(link.source);
  const output = node && catalog.get().types.get(node.type)?.outputs[link.slot];
  return {
    type: output?.type ?? "*",
    name: output?.name ?? String(link.slot),
    title: node ? nodeTitle(node) : link.source,
  };
}

// -------------------------------------------------------------------------------------------------------------- nodes

function graphNode(doc: Doc, node: DocNode): GraphFlowNode {
  const type = catalog.get().types.get(node.type);
  const unfolded = type?.kind === "composite" && doc.folded[node.id] === false && !node.meta.collapsed;
  const size = nodeSize(type, node);
  return {
    id: node.id,
    type: "node",
    position: { x: node.meta.pos[0], y: node.meta.pos[1] },
    ...(unfolded ? {} : size),
    data: { node, type, unfolded },
    draggable: !node.meta.pinned,
    domAttributes: { "aria-labelledby": `${domId(node.id)}-title ${domId(node.id)}-state` },
  };
}

function groupNode(group: Group): GroupFlowNode {
  const [x, y, width, height] = group.box;
  return {
    id: groupCanvasId(group.id),
    type: "group",
    position: { x, y },
    width,
    height,
    zIndex: -2,
    dragHandle: ".frame-title",
    ariaLabel: `group ${group.title}`,
    data: { group },
  };
}

function frameNode(scope: string, box: Box, count: number): FrameFlowNode {
  return {
    id: scopeCanvasId(scope),
    type: "frame",
    position: { x: box.x, y: box.y - frameHeader },
    width: box.width,
    height: box.height + frameHeader,
    zIndex: -1,
    dragHandle: ".frame-title",
    ariaLabel: `scope ${scope}`,
    data: { scope, count },
  };
}

function scopePorts(doc: Doc, scope: string): Pick<ScopeData, "inputs" | "outputs"> {
  const inputs = new Map<string, Port>();
  const outputs = new Map<string, Port>();
  for (const link of allLinks(doc)) {
    const from = link.source.startsWith(`${scope}/`);
    const into = link.target.startsWith(`${scope}/`);
    if (from === into) continue;
    const { type, name, title } = outputOf(doc, link);
    const handle = `${link.source} ${link.slot}`;
    (into ? inputs : outputs).set(handle, { handle, type, label: into ? title : name });
  }
  return { inputs: [...inputs.values()], outputs: [...outputs.values()] };
}

function scopeNode(doc: Doc, scope: string, inside: DocNode[], box: Box): ScopeFlowNode {
  const ports = scopePorts(doc, scope);
  const rows = Math.max(ports.inputs.length, ports.outputs.length, 1);
  return {
    id: scopeCanvasId(scope),
    type: "scope",
    position: { x: box.x, y: box.y },
    width: nodeWidth,
    height: headerHeight + (1 + rows) * rowHeight + 2 * bodyPadding,
    ariaLabel: `scope ${scope}, folded, ${inside.length} nodes`,
    data: { scope, count: inside.length, ids: inside.map((node) => node.id), ...ports },
  };
}

function scopeNodes(doc: Doc): (FrameFlowNode | ScopeFlowNode)[] {
  const nodes: (FrameFlowNode | ScopeFlowNode)[] = [];
  for (const scope of scopesOf(doc)) {
    if (hiddenIn(doc, scope) !== null) continue;
    const inside = nodesInside(doc, scope);
    const box = boxAround(inside.map(boxOf), isFolded(doc, scope) ? 0 : frameMargin);
    if (!box) continue;
    nodes.push(isFolded(doc, scope) ? scopeNode(doc, scope, inside, box) : frameNode(scope, box, inside.length));
  }
  return nodes;
}

function sameNode(a: FlowNode, b: FlowNode): boolean {
  if (a.type !== b.type || a.selected !== b.selected || a.width !== b.width || a.height !== b.height) return false;
  if (a.position.x !== b.position.x || a.position.y !== b.position.y) return false;
  if (a.type === "node" && b.type === "node") {
    return a.data.node === b.data.node && a.data.type === b.data.type && a.data.unfolded === b.data.unfolded;
  }
  if (a.type === "group" && b.type === "group") return a.data.group === b.data.group;
  return JSON.stringify(a.data) === JSON.stringify(b.data);
}

export function flowNodes(doc: Doc, selected: ReadonlySet<string>, before: readonly FlowNode[]): FlowNode[] {
  const old = new Map(before.map((node) => [node.id, node]));
  const drawn = [...doc.nodes.values()].filter((node) => hiddenIn(doc, node.id) === null);
  const all: FlowNode[] = [
    ...doc.groups.map(groupNode),
    ...scopeNodes(doc),
    ...drawn.map((node) => graphNode(doc, node)),
  ];
  return all.map((node) => {
    node.selected = selected.has(node.id);
    const known = old.get(node.id);
    if (!known) return node;
    if (sameNode(known, node)) return known;
    return {
      ...node,
      measured: known.width === node.width && known.height === node.height ? known.measured : undefined,
    } as FlowNode;
  });
}

// -------------------------------------------------------------------------------------------------------------- links

function flowLink(doc: Doc, link: DocLink): FlowLink | null {
  const from = hiddenIn(doc, link.source);
  const into = hiddenIn(doc, link.target);
  const source = doc.nodes.get(link.source);
  const target = doc.nodes.get(link.target);
  if (!source || !target || (from !== null && from === into)) return null;
  const { type, name, title } = outputOf(doc, link);
  const port = `${link.source} ${link.slot}`;
  return {
    id: into === null ? linkId(link) : `${scopeCanvasId(into)} ${port}`,
    type: "link",
    source: from === null ? link.source : scopeCanvasId(from),
    target: into === null ? link.target : scopeCanvasId(into),
    sourceHandle: from === null ? String(link.slot) : port,
    targetHandle: into === null ? link.input : port,
    reconnectable: into === null ? "target" : false,
    domAttributes: { "aria-hidden": true }, // it is told of where it has the focus: LinkStops.tsx
    ariaLabel: `${title} output ${name} to ${nodeTitle(target)} input ${link.input}`,
    data: {
      type,
      faded: Boolean(source.meta.mode || target.meta.mode),
      bends: from === null && into === null ? target.meta.bends?.[link.input] : undefined,
    },
  };
}

function sameLink(a: FlowLink, b: FlowLink): boolean {
  return (
    a.source === b.source &&
    a.target === b.target &&
    a.sourceHandle === b.sourceHandle &&
    a.targetHandle === b.targetHandle &&
    a.selected === b.selected &&
    a.ariaLabel === b.ariaLabel &&
    a.data?.type === b.data?.type &&
    a.data?.faded === b.data?.faded &&
    a.data?.bends === b.data?.bends
  );
}

export function flowLinks(doc: Doc, selected: Selection["links"], before: readonly FlowLink[]): FlowLink[] {
  const old = new Map(before.map((link) => [link.id, link]));
  const links = new Map<string, FlowLink>();
  for (const each of allLinks(doc)) {
    const link = flowLink(doc, each);
    if (!link || links.has(link.id)) continue;
    link.selected = selected.has(link.id);
    const known = old.get(link.id);
    links.set(link.id, known && sameLink(known, link) ? known : link);
  }
  return [...links.values()];
}
