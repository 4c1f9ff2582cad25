// convert.ts - between the document of docs/api.md and ours. What we do not know passes through untouched.

import { isLink, type GraphDocument, type GraphNode, type InputValue, type Link, type NodeType } from "../api";
import { portFits } from "../ports";
import { layOut } from "./layout";
import type { Doc, DocNode, Point } from "./model";

function isPoint(value: unknown): value is Point {
  return Array.isArray(value) && value.length >= 2 && value.every((number) => Number.isFinite(number));
}

/** Nodes without a place get one: all of them from the links, or the few new ones beside the others. */
export function fromApi(document: GraphDocument): Doc {
  const nodes = new Map<string, DocNode>();
  const unplaced: string[] = [];
  for (const [id, { class_type, inputs, _meta }] of Object.entries(document.graph)) {
    const placed = isPoint(_meta?.pos);
    if (!placed) unplaced.push(id);
    const meta = { ..._meta, pos: placed ? (_meta!.pos as Point) : ([0, 0] as Point) };
    nodes.set(id, { id, type: class_type, inputs: inputs ?? {}, meta });
  }
  const doc: Doc = {
    nodes,
    groups: document.view?.groups ?? [],
    folded: document.view?.folded ?? {},
    targets: document.targets,
    script: document.script,
  };
  return unplaced.length > 0 ? layOut(doc, new Set(unplaced)) : doc;
}

function nodeToApi({ type, inputs, meta }: DocNode): GraphNode {
  const entries = Object.entries({ ...meta, pos: meta.pos.map(Math.round) }).filter(([, value]) => value !== undefined);
  return { class_type: type, inputs: { ...inputs }, _meta: Object.fromEntries(entries) };
}

export function toApi(doc: Doc): GraphDocument {
  const graph = Object.fromEntries([...doc.nodes].map(([id, node]) => [id, nodeToApi(node)]));
  const document: GraphDocument = { graph };
  if (doc.targets) document.targets = [...doc.targets];
  if (doc.script != null) document.script = doc.script;
  if (doc.groups.length > 0 || Object.keys(doc.folded).length > 0) {
    document.view = { groups: [...doc.groups], folded: { ...doc.folded } };
  }
  return document;
}

// ------------------------------------------------------------------------------------------------------------ to ComfyUI

type TypeOf = (name: string) => NodeType | undefined;

/** What a bypassed node gives for an output: the link of an input of its type, the same place first; as the engine. */
function standIn(node: DocNode, slot: number, type: NodeType | undefined): Link | undefined {
  const inputs = type?.inputs ?? Object.keys(node.inputs).map((name) => ({ name, type: "*" }));
  const wanted = type?.outputs[slot]?.type ?? "*";
  const same = inputs[slot];
  for (const input of same ? [same, ...inputs] : inputs) {
    const value = node.inputs[input.name];
    if (isLink(value) && portFits(input.type, wanted)) return value;
  }
  return undefined;
}

/** Where a link leads once muted nodes are gone and bypassed ones stand for what they are linked to. */
function settled(doc: Doc, link: Link, typeOf: TypeOf): Link | undefined {
  let at: Link | undefined = link;
  for (let hops = 0; at && hops <= doc.nodes.size; hops++) {
    const node = doc.nodes.get(at[0]);
    if (!node || node.meta.mode === "mute") return undefined;
    if (node.meta.mode !== "bypass") return at;
    at = standIn(node, at[1], typeOf(node.type));
  }
  return undefined;
}

/** Every value, the untouched ones too: ComfyUI asks for them. */
function allInputs(doc: Doc, node: DocNode, typeOf: TypeOf): Record<string, InputValue> {
  const inputs: Record<string, InputValue> = {};
  for (const { name, default: untouched } of typeOf(node.type)?.inputs ?? []) {
    if (untouched !== undefined) inputs[name] = untouched;
  }
  for (const [name, value] of Object.entries(node.inputs)) {
    const link = isLink(value) ? settled(doc, value, typeOf) : undefined;
    if (link) inputs[name] = link;
    else if (!isLink(value)) inputs[name] = value;
  }
  return inputs;
}

/** ComfyUI's API format: what would run, with titles and nothing of the view. */
export function toComfyApi(doc: Doc, typeOf: TypeOf): Record<string, GraphNode> {
  const runs = [...doc.nodes.values()].filter(({ meta }) => !meta.mode);
  return Object.fromEntries(
    runs.map((node) => [
      node.id,
      {
        class_type: node.type,
        inputs: allInputs(doc, node, typeOf),
        _meta: { title: node.meta.title ?? typeOf(node.type)?.title ?? node.type },
      },
    ]),
  );
}
