import { useEffect } from "react";
import { fitView, isInView } from "../canvas/viewport";
import { select } from "../canvas/selection";
import { currentDoc } from "../document/session";
import { nodeTitle } from "../document/names";
import { displayOf } from "../runs/plan";
import { useLastEnded, useShownRun } from "../runs/state";
import type { Run } from "../api";
import { announce, announceError } from "./announce";

/** "error in Sample, text_to_video.lua line 24" */
function failureOf(run: Run): { text: string; node?: string } {
  const node = run.error?.node ? currentDoc().nodes.get(displayOf(run.error.node)) : undefined;
  const place = run.error?.origin?.replace(/^.*\//, "").replace(/:(\d+)$/, " line $1");
  const where = [node && nodeTitle(node), place].filter(Boolean).join(", ");
  return { text: `Error${where ? ` in ${where}` : ""}: ${run.error?.message ?? "the run failed"}`, node: node?.id };
}

/** The end of the run that is shown is spoken; a failure is selected and brought into view, once. */
export function useRunNews(): void {
  const ended = useLastEnded();
  const shown = useShownRun();
  useEffect(() => {
    if (!ended || ended.prompt_id !== shown) return;
    if (ended.state === "done") announce("The run is done.");
    if (ended.state === "canceled") announce("The run was canceled.");
    if (ended.state !== "failed") return;
    const { text, node } = failureOf(ended);
    announceError(text);
    if (!node) return;
    select([node]);
    if (!isInView(node)) fitView([node]);
  }, [ended]);
}
