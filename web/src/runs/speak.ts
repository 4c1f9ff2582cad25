// speak.ts - says how the run of the open document goes, to those who do not see it.

import { announce, announceError } from "../page/announce";
import { nodeTitle } from "../document/names";
import { currentDoc } from "../document/session";
import { displayOf } from "./plan";
import { runState } from "./state";
import type { Run } from "../api";

const everyMs = 5000;

/** "error in Sample, text_to_video.lua line 14: steps must be 1..1000, got 0" */
export function errorSentence({ error }: Run): string {
  if (!error) return "The run failed.";
  const node = currentDoc().nodes.get(displayOf(error.node ?? ""));
  const [, file, line] = error.origin?.match(/([^/]+):(\d+)$/) ?? [];
  const place = [node && `error in ${nodeTitle(node)}`, file && `${file} line ${line}`].filter(Boolean).join(", ");
  return place ? `${place}: ${error.message}` : error.message;
}

function sayEnd(run: Run): void {
  if (run.state === "failed") announceError(errorSentence(run));
  else if (run.state === "canceled") announce("The run was canceled.");
  else if (run.started_ms && run.ended_ms) {
    announce(`The run is done in ${((run.ended_ms - run.started_ms) / 1000).toFixed(1)} seconds.`);
  }
}

export function watchSpeech(): void {
  let saidAt = 0;
  runState.ended.subscribe(() => {
    const run = runState.ended.get();
    if (run && run.prompt_id === runState.shown.get()) sayEnd(run);
  });
  runState.running.subscribe(() => {
    const running = runState.running.get();
    if (!running || running.run.prompt_id !== runState.shown.get() || Date.now() - saidAt < everyMs) return;
    saidAt = Date.now();
    announce(`Running, ${Math.round(running.share * 100)} percent.`);
  });
}
