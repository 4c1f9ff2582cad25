// resultGroups.ts - the list of stored results, calmer: denoising steps that stand together are one row.

import type { Result } from "../api";

const stepTypes = new Set(["dit_step", "guidance", "sampler_step"]);
const fewest = 4;

/** In the order they came: single results, and groups of neighbours that are all parts of denoising steps. */
export function groupResults(results: readonly Result[]): (Result | readonly Result[])[] {
  const groups: (Result | readonly Result[])[] = [];
  for (let i = 0; i < results.length; ) {
    let end = i;
    while (end < results.length && stepTypes.has(results[end]!.type)) end++;
    if (end - i >= fewest) groups.push(results.slice(i, end));
    else groups.push(...results.slice(i, Math.max(end, i + 1)));
    i = Math.max(end, i + 1);
  }
  return groups;
}
