// PlanBar.tsx - what a run would cost, before it is started. Always one line of the same height.

import { select } from "../canvas/selection";
import { missingParams, useOrigin } from "../document/session";
import { displayOf, usePlan } from "../runs/plan";
import { setScrubbing, useScrubbing, useSteps } from "../runs/steps";
import { Icon, type IconName } from "../icons";
import { memoryWarning, planSentence } from "./words";

function StepsButton() {
  const steps = useSteps().length;
  const open = useScrubbing() && steps > 0;
  return (
    <button
      type="button"
      className="link-button plan-steps"
      aria-expanded={open}
      disabled={steps === 0}
      onClick={() => setScrubbing(!open)}
    >
      <Icon name="steps" /> Steps{steps > 0 && <span className="count">{steps}</span>}
    </button>
  );
}

export function PlanBar() {
  const plan = usePlan();
  const missing = missingParams(useOrigin());
  const sentence = plan.state === "errors" && missing.length > 0 ? `Fill in: ${missing.join(", ")}` : planSentence(plan);
  const warning = plan.state === "ready" ? memoryWarning(plan.summary) : null;
  const allCached = plan.summary !== undefined && plan.summary.run + plan.summary.unknown === 0;
  const bad = plan.state === "errors" || plan.state === "failed" || warning !== null;
  const icon: IconName = bad ? "error" : allCached ? "cached" : "clock";
  const places = plan.state === "errors" ? plan.errors.map((error) => error.text ?? error.message).join("\n") : "";
  const culprit = plan.errors.find((error) => error.node)?.node;
  return (
    <div className="plan-bar" data-state={plan.state} data-bad={bad || undefined}>
      {sentence && <Icon name={icon} />}
      <span className="plan-text" role="status" aria-label="Plan" title={warning ?? (places || sentence)}>
        {warning ?? sentence}
      </span>
      {culprit && plan.state === "errors" && (
        <button type="button" className="link-button" onClick={() => select([displayOf(culprit)])}>
          Show
        </button>
      )}
      <StepsButton />
    </div>
  );
}
