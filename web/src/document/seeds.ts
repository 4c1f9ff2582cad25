// seeds.ts - seeds that change with every run, each as its node says.

import { isLink, type NodeInput } from "../api";
import { nodeType } from "../catalog";
import { randomSeed } from "../fields/value";
import { edit } from "./actions";
import { sequence, setInput } from "./edits";
import type { DocNode, SeedControl } from "./model";
import { currentDoc } from "./session";

export function seedControlOf(node: DocNode, input: string): SeedControl {
  return node.meta.seeds?.[input] ?? "fixed";
}

function nextSeed(value: number, control: SeedControl, input: NodeInput): number {
  switch (control) {
    case "increment":
      return Math.min(value + 1, input.max ?? Number.MAX_SAFE_INTEGER);
    case "decrement":
      return Math.max(value - 1, input.min ?? 0);
    case "randomize":
      return randomSeed(input);
    case "fixed":
      return value;
  }
}

/** After a run was queued: the seeds of the next one. */
export function advanceSeeds(): void {
  const changes = [...currentDoc().nodes.values()].flatMap((node) =>
    Object.keys(node.meta.seeds ?? {}).flatMap((name) => {
      const input = nodeType(node.type)?.inputs.find((other) => other.name === name);
      const value = node.inputs[name] ?? input?.default;
      if (!input || isLink(value) || typeof value !== "number") return [];
      return [setInput(node.id, name, nextSeed(value, seedControlOf(node, name), input))];
    }),
  );
  if (changes.length > 0) edit(sequence(changes));
}
