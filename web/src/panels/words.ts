// words.ts - the states of runs and the sentences about plans, in words.

import type { PlanSummary, Run, RunState } from "../api";
import { bytes, count, duration, ordinal, roughly } from "../runs/format";
import type { PlanState } from "../runs/plan";
import type { IconName } from "../icons";

export const runWords: Record<RunState, { word: string; icon: IconName }> = {
  pending: { word: "Queued", icon: "clock" },
  running: { word: "Running", icon: "running" },
  done: { word: "Done", icon: "check" },
  failed: { word: "Failed", icon: "error" },
  canceled: { word: "Canceled", icon: "stop" },
};

export function runSeconds(run: Run): number | null {
  return run.started_ms && run.ended_ms ? (run.ended_ms - run.started_ms) / 1000 : null;
}

/** "Done in 1.2 s", "Failed after 3 min", "Queued, 2nd". */
export function runSentence(run: Run, place?: number): string {
  const { word } = runWords[run.state];
  const seconds = runSeconds(run);
  if (run.state === "pending") return place === undefined ? word : `${word}, ${ordinal(place)}`;
  if (run.state === "running" || seconds === null) return word;
  return `${word} ${run.state === "done" ? "in" : "after"} ${duration(seconds)}`;
}

/** "3 of 24 nodes computed", "all 24 nodes from the store". */
export function runNodes(run: Run): string | null {
  const total = run.nodes_total ?? 0;
  if (total === 0) return null;
  if (run.nodes_run === 0) return `all ${count(total, "node")} from the store`;
  return run.nodes_run === undefined ? null : `${run.nodes_run} of ${count(total, "node")} computed`;
}

/** What is known to take less than a second says nothing of the rest. */
function planTime({ seconds, seconds_complete }: PlanSummary): string {
  if (seconds === null || (seconds < 1 && !seconds_complete)) return "time unknown";
  return seconds_complete ? roughly(seconds) : `${roughly(seconds)} or more`;
}

/** "3 of 24 nodes will run, about 40 s, 1.2 GB". */
function summarySentence(summary: PlanSummary): string {
  const { nodes, run, unknown } = summary;
  if (nodes === 0) return "Nothing to run: no node writes a file";
  if (run + unknown === 0) return "Nothing to compute: the results are stored";
  const open = unknown > 0 ? `, ${unknown} not known yet` : "";
  return `${run} of ${count(nodes, "node")} will run${open}, ${planTime(summary)}, ${bytes(summary.peak_bytes)}`;
}

export function planSentence({ state, summary, errors, message }: PlanState): string {
  switch (state) {
    case "empty":
      return "";
    case "errors":
      return errors.length === 1 ? errors[0]!.message : `${errors.length} errors: ${errors[0]!.message}`;
    case "failed":
      return message ?? "No plan";
    case "planning":
    case "ready":
      return summary ? summarySentence(summary) : "Planning\u2026";
  }
}

/** What does not fit, in a sentence; null when it does. */
export function memoryWarning(summary: PlanSummary | undefined): string | null {
  if (!summary || summary.memory_limit <= 0 || summary.peak_bytes <= summary.memory_limit) return null;
  return `Needs ${bytes(summary.peak_bytes)}; ${bytes(summary.memory_limit)} may be used`;
}
