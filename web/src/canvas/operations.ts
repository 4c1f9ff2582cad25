// operations.ts - commands on what is selected.

import { nodeType } from "../catalog";
import { edit } from "../document/actions";
import { copyNodes, parseClipboard, pasteNodes } from "../document/clipboard";
import { fromApi } from "../document/convert";
import {
  addGroup,
  addNodes,
  disconnect,
  freshId,
  moveNodes,
  patchMeta,
  removeGroups,
  removeNodes,
  sequence,
  toggleFlag,
  toggleMode,
} from "../document/edits";
import { boxAround, columnGap, grid, overlap } from "../document/geometry";
import { boxOf, layOut } from "../document/layout";
import { allLinks, linkId, linksOf, scopeOf, type Doc, type DocNode, type Point } from "../document/model";
import { nodeCount, nodeTitle } from "../document/names";
import { currentDoc } from "../document/session";
import { writeJson } from "../json";
import { announce } from "../page/announce";
import {
  documentIds,
  groupCanvasId,
  groupOfCanvasId,
  hiddenIn,
  nodesInGroup,
  scopeCanvasId,
  scopeOfCanvasId,
} from "../document/scopes";
import { toggleScope, toggleSteps } from "../scopes/unfold";
import { completed, dropLink, type LooseEnd } from "./connect";
import { focusedLink } from "./LinkStops";
import { startRenaming } from "./renaming";
import { select, selectedNodes, selection } from "./selection";
import { focusNode, handPosition, toPlane } from "./viewport";

/** Document nodes that a command means: what is selected, or else the one with the focus. */
export function targetNodes(): string[] {
  const doc = currentDoc();
  const ids = documentIds(doc, selectedNodes());
  if (ids.length > 0) return ids;
  const focused = document.activeElement?.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  return focused ? documentIds(doc, [focused]) : [];
}

// --------------------------------------------------------------------------------------------------------------- add

/** `at`, or the nearest place below it where the node covers no other. */
function freePlace(doc: Doc, node: DocNode): DocNode {
  const taken = [...doc.nodes.values()].filter((other) => hiddenIn(doc, other.id) === null).map(boxOf);
  const box = boxOf(node);
  for (let again = true; again;) {
    const hit = taken.find((other) => overlap(box, other, grid));
    again = hit !== undefined;
    if (hit) box.y = hit.y + hit.height + 2 * grid;
  }
  return { ...node, meta: { ...node.meta, pos: [box.x, box.y] } };
}

/** Put a node of this type there, wired to a loose end when there is one. */
export function addNode(typeName: string, at: Point, end?: LooseEnd): string | null {
  const type = nodeType(typeName);
  if (!type) return null;
  const doc = currentDoc();
  const id = freshId(doc, typeName);
  const node = freePlace(doc, { id, type: typeName, inputs: {}, meta: { pos: at } });
  const link = end && completed(end, id, type);
  if (link?.target === id) {
    edit(addNodes([{ ...node, inputs: { [link.input]: [link.source, link.slot] } }]));
  } else if (link) {
    const reader = doc.nodes.get(link.target)!;
    edit(addNodes([node, { ...reader, inputs: { ...reader.inputs, [link.input]: [id, link.slot] } }]));
  } else {
    edit(addNodes([node]));
  }
  select([id]);
  announce(`Added ${nodeTitle(node)}${link ? ", connected" : ""}.`);
  focusNode(id);
  return id;
}

/** The place right of a node, on the plane. */
export function placeAfter(id: string): Point | undefined {
  const node = currentDoc().nodes.get(id);
  if (!node) return undefined;
  const { x, y, width } = boxOf(node);
  return [x + width + columnGap, y];
}

/** The first output of a node, for a node that is added after it. */
export function firstOutput(id: string): LooseEnd | undefined {
  const node = currentDoc().nodes.get(id);
  const output = node && nodeType(node.type)?.outputs[0];
  return output && { node: id, slot: 0, type: output.type };
}

// ---------------------------------------------------------------------------------------------------------- clipboard

let copied = "";

export async function copy(): Promise<void> {
  const ids = targetNodes();
  if (ids.length === 0) return;
  copied = writeJson(copyNodes(currentDoc(), new Set(ids)));
  announce(`Copied ${nodeCount(ids.length)}.`);
  await navigator.clipboard?.writeText(copied).catch(() => undefined);
}

export async function cut(): Promise<void> {
  await copy();
  deleteSelected();
}

/** The system's clipboard where the browser lets us read it, else what was copied here. */
async function clipboardText(): Promise<string> {
  const text = await navigator.clipboard?.readText().catch(() => "");
  return text && parseClipboard(text) ? text : copied;
}

function pasteText(text: string, at: Point | null, keepLinks: boolean): void {
  const document = parseClipboard(text);
  if (!document) return;
  const nodes = pasteNodes(currentDoc(), fromApi(document), at, keepLinks);
  edit(addNodes(nodes));
  select(nodes.map((node) => node.id));
  announce(`Pasted ${nodeCount(nodes.length)}.`);
}

export async function paste(keepLinks: boolean): Promise<void> {
  const { x, y } = toPlane(handPosition());
  pasteText(await clipboardText(), [Math.round(x), Math.round(y)], keepLinks);
}

export function duplicate(): void {
  const ids = targetNodes();
  if (ids.length > 0) pasteText(writeJson(copyNodes(currentDoc(), new Set(ids))), null, true);
}

// ------------------------------------------------------------------------------------------------------------- delete

/** The link that has the focus, or what is selected. */
export function deleteSelected(): void {
  const doc = currentDoc();
  const focused = [...allLinks(doc)].find((link) => linkId(link) === focusedLink()?.id);
  if (focused) {
    dropLink(focused);
    focusNode(focused.target);
    return;
  }
  const { links } = selection.get();
  const gone = [...allLinks(doc)].filter((link) => links.has(linkId(link)));
  const groups = selectedNodes()
    .map(groupOfCanvasId)
    .filter((id) => id !== null);
  const ids = links.size > 0 && selectedNodes().length === 0 ? [] : targetNodes();
  if (ids.length + gone.length + groups.length === 0) return;
  edit(sequence([disconnect(gone), removeNodes(new Set(ids)), removeGroups(new Set(groups))]));
  select([]);
  announce(`Deleted ${ids.length > 0 ? nodeCount(ids.length) : gone.length > 0 ? "the link" : "the group"}.`);
}

export function selectAll(): void {
  const doc = currentDoc();
  select(
    [...doc.nodes.keys()].map((id) => {
      const scope = hiddenIn(doc, id);
      return scope === null ? id : scopeCanvasId(scope);
    }),
  );
  announce(`Selected ${nodeCount(doc.nodes.size)}.`);
}

// -------------------------------------------------------------------------------------------------------------- looks

/** A group stands for what is in it. */
function membersToo(): string[] {
  const doc = currentDoc();
  const groups = selectedNodes().map(groupOfCanvasId).filter((id) => id !== null);
  const inside = groups.flatMap((id) => nodesInGroup(doc, id));
  return inside.length > 0 ? [...new Set([...documentIds(doc, selectedNodes()), ...inside])] : targetNodes();
}

export function setMode(mode: "mute" | "bypass"): void {
  const ids = membersToo();
  if (ids.length === 0) return;
  edit(toggleMode(ids, mode));
  const on = currentDoc().nodes.get(ids[0]!)?.meta.mode === mode;
  const word = mode === "mute" ? "muted" : "bypassed";
  announce(`${nodeCount(ids.length)} ${on ? word : `no longer ${word}`}.`);
}

export function setFlag(flag: "collapsed" | "pinned"): void {
  const ids = membersToo();
  if (ids.length === 0) return;
  edit(toggleFlag(ids, flag));
  const on = currentDoc().nodes.get(ids[0]!)?.meta[flag];
  announce(`${nodeCount(ids.length)} ${on ? flag : `no longer ${flag}`}.`);
}

export function rename(): void {
  const [id] = targetNodes();
  if (id) startRenaming(id);
}

/** Of a composite its steps, of a scope its nodes; of a node in a scope, that scope. */
export function fold(): void {
  const doc = currentDoc();
  const [first] = selectedNodes();
  if (!first) return;
  if (nodeType(doc.nodes.get(first)?.type ?? "")?.kind === "composite") {
    toggleSteps(first);
    return;
  }
  const scope = scopeOfCanvasId(first) ?? scopeOf(first);
  if (!scope) return;
  toggleScope(scope);
  select([scopeCanvasId(scope)]);
}

export function group(): void {
  const doc = currentDoc();
  const box = boxAround(
    targetNodes().map((id) => boxOf(doc.nodes.get(id)!)),
    24,
  );
  const { x, y } = toPlane(handPosition());
  const { x: left, y: top, width, height } = box ?? { x, y, width: 400, height: 300 };
  let id = 1;
  while (doc.groups.some((other) => other.id === String(id))) id++;
  edit(addGroup({ id: String(id), title: `Group ${id}`, box: [left, top - 32, width, height + 32] }));
  select([groupCanvasId(String(id))]);
  announce("Grouped.");
}

// ------------------------------------------------------------------------------------------------------------- places

/** Columns along the links: what is selected, or everything. */
export function arrange(): void {
  const doc = currentDoc();
  const ids = targetNodes();
  const chosen = new Set(ids.length > 1 ? ids : doc.nodes.keys());
  const before = boxAround([...chosen].map((id) => boxOf(doc.nodes.get(id)!)));
  if (!before) return;
  const alone = layOut({ ...doc, nodes: new Map([...doc.nodes].filter(([id]) => chosen.has(id))) }, chosen);
  const places = new Map<string, Point>();
  for (const { id, meta } of alone.nodes.values()) places.set(id, [meta.pos[0] + before.x, meta.pos[1] + before.y]);
  const bent = [...chosen].filter((id) => doc.nodes.get(id)?.meta.bends);
  edit(sequence([patchMeta(bent, { bends: undefined }), moveNodes(places)]));
  announce(`Arranged ${nodeCount(chosen.size)}.`);
}

export function align(axis: "x" | "y"): void {
  const doc = currentDoc();
  const ids = targetNodes();
  const at = axis === "x" ? 0 : 1;
  const edge = Math.min(...ids.map((id) => doc.nodes.get(id)!.meta.pos[at]));
  const places = new Map(
    ids.map((id): [string, Point] => {
      const [x, y] = doc.nodes.get(id)!.meta.pos;
      return [id, axis === "x" ? [edge, y] : [x, edge]];
    }),
  );
  edit(moveNodes(places));
}

/** Focus along a link: to the first node that feeds this one, or that reads it; from a link to its end. */
export function follow(way: "upstream" | "downstream"): void {
  const doc = currentDoc();
  const link = focusedLink();
  if (link) {
    const end = way === "upstream" ? link.source : link.target;
    select([end]);
    focusNode(end);
    return;
  }
  const [id] = targetNodes();
  const node = id ? doc.nodes.get(id) : undefined;
  if (!node) return;
  const next =
    way === "upstream"
      ? [...linksOf(node)].map((link) => link.source)
      : [...allLinks(doc)].filter((link) => link.source === id).map((link) => link.target);
  const found = next.find((other) => doc.nodes.has(other) && hiddenIn(doc, other) === null);
  if (!found) {
    announce(way === "upstream" ? "Nothing feeds this node." : "Nothing reads this node.");
    return;
  }
  select([found]);
  focusNode(found);
}

/** Colour of what is selected; undefined: as its category. */
export function setColour(colour: string | undefined): void {
  edit(patchMeta(targetNodes(), { colour }));
}
