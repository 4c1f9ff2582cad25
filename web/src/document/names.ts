// names.ts - what a node is called on the canvas, in lists and when it is spoken.

import { nodeType, typeTitle } from "../catalog";
import { lastName, type DocNode } from "./model";

/** Its title; else its id where a person chose that; else what its type is called. */
export function nodeTitle(node: DocNode): string {
  if (node.meta.title) return node.meta.title;
  const name = lastName(node.id);
  const title = typeTitle(nodeType(node.type), node.type);
  if (/^[\d:]+$/.test(name) || name === node.type) return title;
  if (name.startsWith(`${node.type}_`)) return `${title} ${name.slice(node.type.length + 1)}`;
  return name;
}

/** For several nodes: "noise", "2 nodes". */
export const nodeCount = (count: number) => (count === 1 ? "1 node" : `${count} nodes`);
