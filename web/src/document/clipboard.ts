// clipboard.ts - copy and paste: nodes as an API document, so that text from other tools pastes as well.

import { isLink, type Graph, type GraphDocument, type InputValue } from "../api";
import { parseJson } from "../json";
import { toApi } from "./convert";
import { freshId } from "./edits";
import { lastName, scopeOf, type Doc, type DocNode, type Point } from "./model";

export function copyNodes(doc: Doc, ids: ReadonlySet<string>): GraphDocument {
  const nodes = new Map([...doc.nodes].filter(([id]) => ids.has(id)));
  return toApi({ ...doc, nodes, groups: [], folded: {}, targets: undefined });
}

/** A document, or a graph in API format; null when the text is neither. */
export function parseClipboard(text: string): GraphDocument | null {
  try {
    const value = parseJson(text) as GraphDocument & Graph;
    const graph = value?.graph ?? value;
    const nodes = Object.values(graph as object);
    const isGraph = nodes.length > 0 && nodes.every((node) => typeof node?.class_type === "string");
    return isGraph ? (value.graph ? value : { graph }) : null;
  } catch {
    return null;
  }
}

/** What an input of a pasted node holds: a link inside the copy follows it, one from outside stays when `keepLinks`. */
function pastedInput(value: InputValue, names: ReadonlyMap<string, string>, doc: Doc, keepLinks: boolean) {
  if (!isLink(value)) return value;
  const inside = names.get(value[0]);
  if (inside) return [inside, value[1]] as InputValue;
  return keepLinks && doc.nodes.has(value[0]) ? value : undefined;
}

/** Copies with ids of their own, their top left corner at `at`, or a little off their originals. */
export function pasteNodes(doc: Doc, copied: Doc, at: Point | null, keepLinks: boolean): DocNode[] {
  const names = new Map<string, string>();
  for (const id of copied.nodes.keys()) {
    const scope = scopeOf(id);
    const prefix = scope ? `${scope}/` : "";
    names.set(id, freshId(doc, prefix + lastName(id), new Set(names.values())));
  }
  const nodes = [...copied.nodes.values()];
  const left = Math.min(...nodes.map((node) => node.meta.pos[0]));
  const top = Math.min(...nodes.map((node) => node.meta.pos[1]));
  const [dx, dy] = at ? [at[0] - left, at[1] - top] : [32, 32];
  return nodes.map((node) => {
    const inputs: Record<string, InputValue> = {};
    for (const [name, value] of Object.entries(node.inputs)) {
      const pasted = pastedInput(value, names, doc, keepLinks);
      if (pasted !== undefined) inputs[name] = pasted;
    }
    const pos: Point = [node.meta.pos[0] + dx, node.meta.pos[1] + dy];
    return { ...node, id: names.get(node.id)!, inputs, meta: { ...node.meta, pos, bends: undefined } };
  });
}
