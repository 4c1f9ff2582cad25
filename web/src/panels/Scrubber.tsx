// Scrubber.tsx - through the stored denoising steps of a run: look at any, and branch from it.

import { useEffect, useState } from "react";
import { previewUrl, type Step } from "../api";
import { Icon, IconButton } from "../icons";
import { nameOf } from "../runs/actions";
import { branchFrom } from "../runs/branch";
import { duration } from "../runs/format";
import { findRun } from "../runs/history";
import { byScope, holdSteps, setScrubbing, useScrubbing, useSteps, useStepsRun } from "../runs/steps";
import { openOverlay } from "./overlay";
import { useRunDetail } from "./useDetail";

/** As people count: how many steps were taken when the picture looked so. */
const taken = (step: Step) => step.step + 1;

/** Enough to see how the picture comes about; more do not fit. */
const filmFrames = 24;

function thinned(steps: readonly Step[]): Step[] {
  if (steps.length <= filmFrames) return [...steps];
  const last = steps.length - 1;
  return Array.from({ length: filmFrames }, (_, i) => steps[Math.round((i * last) / (filmFrames - 1))]!);
}

/** What the run spent on this step, all its nodes together; null when it came from the store. */
function useStepTime(runId: string, step: Step): number | null {
  const { value: detail } = useRunDetail(runId);
  const inside = step.node.slice(0, step.node.lastIndexOf("/") + 1);
  const nodes = detail?.nodes?.filter((node) => node.node.startsWith(inside)) ?? [];
  const ms = nodes.reduce((sum, node) => sum + (node.ms ?? 0), 0);
  return ms > 0 ? ms / 1000 : null;
}

function Film({ steps, current, onChoose }: { steps: readonly Step[]; current: Step; onChoose: (step: Step) => void }) {
  return (
    <div className="film" aria-hidden="true">
      {thinned(steps).map((step) => (
        <img
          key={step.key}
          src={previewUrl(step.key, { size: 96 })}
          alt=""
          loading="lazy"
          draggable={false}
          data-current={step === current || undefined}
          onClick={() => onChoose(step)}
        />
      ))}
    </div>
  );
}

function Facts({ runId, step }: { runId: string; step: Step }) {
  const seconds = useStepTime(runId, step);
  return (
    <p className="scrub-facts">
      <strong>
        Step {taken(step)} of {step.steps}
      </strong>
      {step.sigma !== undefined && (
        <span title={`Noise that is left after this step; the model was told t = ${step.timestep?.toFixed(0)}`}>
          noise {step.sigma.toFixed(3)}
        </span>
      )}
      {seconds !== null && <span>{duration(seconds)}</span>}
    </p>
  );
}

interface Choice {
  scope: string;
  /** null: the newest there is. */
  at: number | null;
}

interface ScrubberProps {
  runId: string;
  steps: readonly Step[];
  onClose: () => void;
}

function ScrubberView({ runId, steps, onClose }: ScrubberProps) {
  const scopes = byScope(steps);
  const [choice, setChoice] = useState<Choice>({ scope: "", at: null });
  const [moving, setMoving] = useState(false);
  const scope = scopes.has(choice.scope) ? choice.scope : [...scopes.keys()].at(-1)!;
  const list = scopes.get(scope)!;
  const at = choice.at === null ? list.length - 1 : Math.min(choice.at, list.length - 1);
  const step = list[at]!;
  const end = list.at(-1)!;
  const run = findRun(runId);
  const name = run ? nameOf(run) : "run";
  useEffect(() => setChoice({ scope: "", at: null }), [runId]);
  useEffect(() => holdSteps(choice.at !== null && step !== end), [choice.at === null, step === end]);
  useEffect(() => () => holdSteps(false), []);

  return (
    <section className="scrubber" aria-label="Steps of the run">
      <img
        className="scrub-picture"
        src={previewUrl(step.key, moving ? { frame: -2, size: 256, format: "webp" } : { size: 256 })}
        alt={`${scope} after step ${taken(step)} of ${step.steps}`}
      />
      <div className="scrub-main">
        <header>
          {scopes.size > 1 ? (
            <select
              className="field"
              aria-label="Sampling node"
              value={scope}
              onChange={(event) => setChoice({ scope: event.target.value, at: null })}
            >
              {[...scopes.keys()].map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          ) : (
            <h2>{scope}</h2>
          )}
          <Facts runId={runId} step={step} />
          <IconButton icon="close" label="Close the steps" onClick={onClose} />
        </header>
        <Film steps={list} current={step} onChoose={(chosen) => setChoice({ scope, at: list.indexOf(chosen) })} />
        <input
          type="range"
          aria-label="Step"
          aria-valuetext={`step ${taken(step)} of ${step.steps}`}
          min={0}
          max={list.length - 1}
          value={at}
          onChange={(event) => setChoice({ scope, at: Number(event.target.value) })}
        />
        <footer>
          <button
            type="button"
            className="button primary"
            disabled={taken(step) >= step.steps}
            title={taken(step) >= step.steps ? "This is the last step: nothing is left to change" : undefined}
            onClick={() => void branchFrom({ id: runId, name }, scope, taken(step))}
          >
            <Icon name="branch" /> Branch from here
          </button>
          <button
            type="button"
            className="button"
            disabled={step === end}
            onClick={() =>
              openOverlay({
                kind: "steps",
                pair: {
                  title: `${scope}: step ${taken(step)} and step ${taken(end)}`,
                  left: { label: `step ${taken(step)}`, key: step.key },
                  right: { label: `step ${taken(end)}`, key: end.key },
                },
              })
            }
          >
            <Icon name="compare" /> Compare with the end
          </button>
          <label className="check">
            <input type="checkbox" checked={moving} onChange={(event) => setMoving(event.target.checked)} />
            all frames
          </label>
        </footer>
      </div>
    </section>
  );
}

/** Opened by the plan bar; nothing is shown for a run without stored steps. */
export function Scrubber() {
  const runId = useStepsRun();
  const steps = useSteps();
  const open = useScrubbing();
  if (!open || !runId || steps.length === 0) return null;
  return <ScrubberView runId={runId} steps={steps} onClose={() => setScrubbing(false)} />;
}
