import { useEffect, useRef, useState } from "react";
import { Icon, type IconName } from "../icons";
import { duration, ordinal } from "../runs/format";
import { useNodeErrors } from "../runs/plan";
import { useNodeState, useQueue, useShownRun, type NodeState } from "../runs/state";
import { nodeTitle } from "../document/names";
import { currentDoc } from "../document/session";
import { domId } from "./flow";

const icons: Partial<Record<NodeState["state"], IconName>> = {
  queued: "clock",
  running: "running",
  cached: "cached",
  done: "check",
  error: "error",
  blocked: "cross",
};

function usePlaceInQueue(): number | undefined {
  const shown = useShownRun();
  return useQueue().find((run) => run.prompt_id === shown)?.position;
}

function titleOf(id: string | undefined): string {
  const node = id ? currentDoc().nodes.get(id) : undefined;
  return node ? nodeTitle(node) : (id ?? "a node");
}

/** What is seen, short, and what is said. */
function wordsFor(state: NodeState, place: number | undefined): { seen: string; said: string } {
  switch (state.state) {
    case "queued":
      return { seen: place ? ordinal(place) : "", said: place ? `queued, ${ordinal(place)}` : "queued" };
    case "running": {
      const percent = Math.round((state.share ?? 0) * 100);
      const steps = state.steps ? `${state.steps[0]}/${state.steps[1]}` : `${percent} %`;
      return { seen: steps, said: `running, ${percent} percent` };
    }
    case "cached":
      return { seen: "cached", said: "from cache" };
    case "done":
      return {
        seen: state.ms === undefined ? "" : duration(state.ms / 1000),
        said: state.ms === undefined ? "done" : `done in ${(state.ms / 1000).toFixed(1)} seconds`,
      };
    case "error":
      return { seen: "", said: `error: ${state.error?.message ?? "failed"}` };
    case "blocked":
      return { seen: "", said: `waiting for ${titleOf(state.waitsFor)}, which failed` };
    case "idle":
      return { seen: "", said: "" };
  }
}

const slowMs = 5000;

/** Speech follows a running node every 5 seconds at most, and any other state at once. */
function useSlowly(text: string, running: boolean): string {
  const [slow, setSlow] = useState(text);
  const newest = useRef(text);
  newest.current = text;
  useEffect(() => {
    if (!running) return;
    setSlow(newest.current);
    const timer = setInterval(() => setSlow(newest.current), slowMs);
    return () => clearInterval(timer);
  }, [running]);
  return running ? slow : text;
}

interface BadgeProps {
  id: string;
  mode?: "mute" | "bypass";
  known: boolean;
}

export function StateBadge({ id, mode, known }: BadgeProps) {
  const state = useNodeState(id);
  const place = usePlaceInQueue();
  const problems = useNodeErrors(id);
  const words = wordsFor(state, place);
  const said = useSlowly(words.said, state.state === "running");
  const icon = icons[state.state];
  const problem = problems[0]?.message ?? (known ? undefined : "this server has no such node type");
  const spoken = [mode && (mode === "mute" ? "muted" : "bypassed"), said, problem].filter(Boolean).join(", ");
  return (
    <>
      {problem && state.state !== "error" && (
        <span className="node-warning" title={problem}>
          <Icon name="warning" />
        </span>
      )}
      {icon && (
        <span className="node-state" title={words.said}>
          <Icon name={icon} />
          {words.seen}
        </span>
      )}
      <span className="spoken" id={`${domId(id)}-state`}>
        {spoken && `, ${spoken}`}
      </span>
    </>
  );
}
