// seeds.ts - seeds that change with every run, each as its node says.

import { isLink, type NodeInput } from "../api";
import { nodeType } from "../catalog";
import { randomSeed, wholeStep } from "../fields/value";
import { edit } from "./actions";
import { sequence, setInput } from "./edits";
import type { DocNode, SeedControl } from "./model";
import { currentDoc } from "./session";

const isWhole = (value: unknown): value is number | bigint => typeof value === "bigint" || Number.isInteger(value);

export function seedControlOf(node: DocNode, input: string): SeedControl {
  return node.meta.seeds?.[input] ?? "fixed";
}

function nextSeed(value: number | bigint, control: SeedControl, input: NodeInput): number | bigint {
  switch (control) {
    case "increment":
      return wholeStep(value, 1, input);
    case "decrement":
      return wholeStep(value, -1, { ...input, min: input.min ?? 0 });
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
      if (!input || isLink(value) || !isWhole(value)) return [];
      return [setInput(node.id, name, nextSeed(value, seedControlOf(node, name), input))];
    }),
  );
  if (changes.length > 0) edit(sequence(changes));
}
