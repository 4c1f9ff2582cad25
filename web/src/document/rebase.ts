// rebase.ts - a Lua graph built anew with other parameters, under the hand edits that were made on the old build.

import type { InputValue } from "../api";
import { writeJson } from "../json";
import { disconnect, moveNodes, removeNodes } from "./edits";
import { layOut } from "./layout";
import { allLinks, type Doc, type DocNode } from "./model";

const same = (a: InputValue | undefined, b: InputValue | undefined) => writeJson(a) === writeJson(b);

/** The new node with the inputs the user set on the old one, and with its looks. */
function carry(old: DocNode | undefined, mine: DocNode, next: DocNode): DocNode {
  const inputs: Record<string, InputValue> = { ...next.inputs };
  const names = old ? new Set([...Object.keys(old.inputs), ...Object.keys(mine.inputs)]) : [];
  for (const name of names) {
    const value = mine.inputs[name];
    if (same(old!.inputs[name], value)) continue;
    if (value === undefined) delete inputs[name];
    else inputs[name] = value;
  }
  return { ...next, inputs, meta: { ...next.meta, ...mine.meta, origin: next.meta.origin } };
}

/** `base` was built before, `mine` is what the user made of it, `next` is the new build. */
export function rebase(base: Doc, mine: Doc, next: Doc): Doc {
  const nodes = new Map<string, DocNode>();
  for (const [id, node] of next.nodes) {
    const kept = mine.nodes.get(id);
    nodes.set(id, kept && kept.type === node.type ? carry(base.nodes.get(id), kept, node) : node);
  }
  for (const [id, node] of mine.nodes) {
    if (!base.nodes.has(id) && !nodes.has(id)) nodes.set(id, node);
  }
  const deleted = new Set([...base.nodes.keys()].filter((id) => !mine.nodes.has(id)));
  const merged = { ...next, nodes, groups: mine.groups, folded: mine.folded };
  return dropDangling(removeNodes(deleted)(merged));
}

/** Are all nodes where the last build put them? */
function unmoved(base: Doc, mine: Doc): boolean {
  return [...mine.nodes.values()].every(({ id, meta }) => {
    const pos = base.nodes.get(id)?.meta.pos ?? meta.pos;
    return pos[0] === meta.pos[0] && pos[1] === meta.pos[1];
  });
}

/** Places after a rebase: those of the new build while nothing was moved by hand; else new nodes go below the others. */
export function settle(base: Doc, mine: Doc, next: Doc, merged: Doc): Doc {
  if (unmoved(base, mine)) {
    return moveNodes(new Map([...next.nodes.values()].map(({ id, meta }) => [id, meta.pos])))(merged);
  }
  const fresh = new Set([...merged.nodes.keys()].filter((id) => !mine.nodes.has(id)));
  return fresh.size > 0 ? layOut(merged, fresh) : merged;
}

/** Without links to nodes that the new build no longer has. */
function dropDangling(doc: Doc): Doc {
  const missing = [...allLinks(doc)].filter((link) => !doc.nodes.has(link.source));
  return disconnect(missing)(doc);
}
