import { select } from "../canvas/selection";
import { focusNode } from "../canvas/viewport";
import { currentDoc } from "../document/session";
import { nodeTitle } from "../document/names";
import { Icon } from "../icons";
import { bytes, count, duration, roughly } from "../runs/format";
import { useNodeErrors, useNodePlan, type NodePlan } from "../runs/plan";
import { useNodeState, type NodeState } from "../runs/state";
import { Fact, Section } from "./Section";

function planSentence({ cached, run, unknown, seconds, incomplete }: NodePlan): string {
  const all = cached + run + unknown;
  if (cached === all) return all === 1 ? "stored; will not run" : "all of it is stored; nothing will run";
  const time = run > 0 && !incomplete ? `, ${roughly(seconds)}` : "";
  if (all === 1) return `${run > 0 ? "will run" : "hangs on data of the run"}${time}`;
  return `${run + unknown} of ${count(all, "node")} will run${time}`;
}

function stateSentence(state: NodeState): string | null {
  switch (state.state) {
    case "running":
      return `running, ${Math.round((state.share ?? 0) * 100)} %`;
    case "cached":
      return "came from the store";
    case "done":
      return state.ms === undefined ? "done" : `took ${duration(state.ms / 1000)}`;
    case "queued":
      return "waits its turn";
    default:
      return null;
  }
}

function Blocked({ by }: { by: string }) {
  const node = currentDoc().nodes.get(by);
  return (
    <p>
      Waits for{" "}
      <button
        type="button"
        className="link-button"
        onClick={() => {
          select([by]);
          focusNode(by);
        }}
      >
        {node ? nodeTitle(node) : by}
      </button>
      , which failed.
    </p>
  );
}

/** What is wrong with a node, what it did in the run that is shown, and what the next run would do. */
export function NodeStatus({ id }: { id: string }) {
  const state = useNodeState(id);
  const plan = useNodePlan(id);
  const problems = useNodeErrors(id);
  const errors = state.error
    ? [state.error, ...problems.filter((other) => other.message !== state.error?.message)]
    : problems;
  const last = stateSentence(state);
  if (errors.length === 0 && !plan && !last && state.state !== "blocked") return null;
  return (
    <Section title="Run">
      {errors.map((error, i) => (
        <p key={i} className="problem error-text">
          <Icon name="error" /> {error.text ?? error.message}
        </p>
      ))}
      {state.state === "blocked" && state.waitsFor && <Blocked by={state.waitsFor} />}
      <dl>
        {last && <Fact name="Last run">{last}</Fact>}
        {plan && <Fact name="Next run">{planSentence(plan)}</Fact>}
        {plan?.shape && <Fact name="Shape">{plan.shape}</Fact>}
        {plan && plan.bytes > 0 && <Fact name="Result">{bytes(plan.bytes)}</Fact>}
        {plan?.key && (
          <Fact name="Key">
            <code title={plan.key}>{plan.key.slice(0, 12)}</code>
          </Fact>
        )}
      </dl>
      {state.previewUrl && <img className="large-preview" src={state.previewUrl} alt={`Preview of ${id}`} />}
    </Section>
  );
}
