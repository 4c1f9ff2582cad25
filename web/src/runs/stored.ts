// stored.ts - what the store holds of the open document, by the newest plan: shown on nodes that no run has touched.

import { previewUrl, type Plan } from "../api";
import { nodeType } from "../catalog";
import { scopesOf } from "./tracker";

interface Stored {
  /** All there is to compute for it is there. */
  complete: boolean;
  /** Of the last of its results that can be seen. */
  picture?: string;
}

let stored: ReadonlyMap<string, Stored> = new Map();

const seen = new Set(["LATENT", "IMAGE", "MASK", "VIDEO"]);

/** Files can be seen where they are made of pictures. */
function isSeen(name: string): boolean {
  const type = nodeType(name);
  const isFile = type?.outputs.some((output) => output.type === "FILE") ?? false;
  if (isFile) return type!.inputs.some((input) => /IMAGE|VIDEO/.test(input.type));
  return type?.outputs.some((output) => seen.has(output.type)) ?? false;
}

const calm = () => typeof matchMedia === "function" && matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A stored result as a picture in a node; what was written to a file plays, where motion is welcome. */
export const pictureOf = (key: string, plays: boolean) =>
  previewUrl(key, plays && !calm() ? { size: 256, frame: -2, format: "webp" } : { size: 256 });

/** By node, by scope and by node of the document; returns the ids whose share in the store may differ now. */
export function learnStored(plan: Plan, displayOf: (id: string) => string): Set<string> {
  const next = new Map<string, Stored>();
  const touched = new Set(stored.keys());
  const note = (node: string, type: string, key: string | undefined, there: boolean) => {
    const picture = there && key && isSeen(type) ? pictureOf(key, nodeType(type)?.target ?? false) : undefined;
    for (const id of new Set([node, ...scopesOf(node), displayOf(node)])) {
      const before = next.get(id);
      next.set(id, {
        complete: there && (before?.complete ?? true),
        picture: picture ?? before?.picture,
      });
      touched.add(id);
    }
  };
  for (const { node, type, key } of plan.stored) note(node, type, key, true);
  for (const { node, type, state } of plan.nodes) note(node, type, undefined, state === "cached");
  stored = next;
  return touched;
}

export const storedOf = (id: string): Stored | undefined => stored.get(id);
