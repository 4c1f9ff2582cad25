// QueuePanel.tsx - what waits, what runs, what has run.

import { useState } from "react";
import type { Run } from "../api";
import {
  cancelRun,
  captionOf,
  removeRun,
  reopenRun,
  rerun,
  runTitle,
  setAutoRun,
  setBatchCount,
  useAutoRun,
  useBatchCount,
} from "../runs/actions";
import { age, count, duration } from "../runs/format";
import { loadOlderRuns, useHistory } from "../runs/history";
import { useQueue, useRunning, useShownRun } from "../runs/state";
import { Icon, IconButton } from "../icons";
import { mainFile, posterUrl } from "./media";
import { openOverlay } from "./overlay";
import { runSentence, runWords } from "./words";

function Thumbnail({ run }: { run: Run }) {
  const file = mainFile(run);
  const poster = file && posterUrl(file, 96);
  if (!file || !poster) return <span className="run-thumb" aria-hidden="true" />;
  return (
    <button
      type="button"
      className="run-thumb"
      aria-label={`View the result of ${runTitle(run)}`}
      onClick={() => openOverlay({ kind: "viewer", run, file })}
    >
      <img src={poster} alt="" loading="lazy" />
    </button>
  );
}

function Progress({ run }: { run: Run }) {
  const running = useRunning();
  if (running?.run.prompt_id !== run.prompt_id) return <span className="run-facts">beside the first</span>;
  const percent = Math.floor((running?.share ?? 0) * 100);
  const left = running?.secondsLeft;
  return (
    <>
      <progress max={100} value={percent} aria-label="Progress of the run" />
      <span className="run-facts">
        {percent} %{left != null && `, ${duration(left)} left`}
      </span>
    </>
  );
}

function RunActions({ run }: { run: Run }) {
  const title = runTitle(run);
  const id = run.prompt_id;
  const waits = run.state === "pending" || run.state === "running";
  return (
    <span className="row-actions">
      <IconButton icon="graph" label={`Open the graph of ${title}`} onClick={() => void reopenRun(id)} />
      {!waits && <IconButton icon="again" label={`Run ${title} again`} onClick={() => void rerun(id)} />}
      {waits ? (
        <IconButton icon="close" label={`Cancel ${title}`} onClick={() => void cancelRun(id)} />
      ) : (
        <IconButton icon="trash" label={`Remove ${title} from the history`} onClick={() => void removeRun(id)} />
      )}
    </span>
  );
}

function RunRow({ run, place }: { run: Run; place?: number }) {
  const shown = useShownRun() === run.prompt_id;
  const stored = run.nodes_run === 0 && run.state === "done";
  const facts = [run.ended_ms ? age(run.ended_ms) : null, stored ? "all stored" : null];
  return (
    <li className="run-row" data-state={run.state} aria-current={shown || undefined}>
      <Thumbnail run={run} />
      <span className="run-title" title={runTitle(run)}>
        {captionOf(run)}
      </span>
      <span className="run-state">
        <Icon name={runWords[run.state].icon} />
        {runSentence(run, place)}
      </span>
      {run.state === "running" ? <Progress run={run} /> : <span className="run-facts">{facts.filter(Boolean).join(", ")}</span>}
      <RunActions run={run} />
      {run.error && <p className="run-error">{run.error.text ?? run.error.message}</p>}
    </li>
  );
}

/** How the Run button works: how often, and whether changes press it. */
function RunOptions() {
  const batch = useBatchCount();
  const auto = useAutoRun();
  return (
    <fieldset className="run-options">
      <legend className="spoken">Run options</legend>
      <label className="check">
        Run
        <input
          className="field"
          type="number"
          min={1}
          max={100}
          value={batch}
          onChange={(event) => setBatchCount(event.target.valueAsNumber)}
        />
        times
      </label>
      <label className="check">
        <input type="checkbox" checked={auto} onChange={(event) => setAutoRun(event.target.checked)} />
        on change
      </label>
    </fieldset>
  );
}

function Waiting() {
  const queue = useQueue();
  const pending = queue.filter((run) => run.state === "pending");
  return (
    <section aria-labelledby="queue-heading">
      <header className="panel-heading">
        <h3 id="queue-heading">Queue</h3>
        {pending.length > 1 && (
          <button
            type="button"
            className="link-button"
            onClick={() => pending.forEach((run) => void cancelRun(run.prompt_id))}
          >
            Cancel {count(pending.length, "queued run")}
          </button>
        )}
      </header>
      <RunOptions />
      {queue.length === 0 && <p className="hint">Nothing runs.</p>}
      <ol className="rows">
        {queue.map((run) => (
          <RunRow key={run.prompt_id} run={run} place={pending.indexOf(run) + 1 || undefined} />
        ))}
      </ol>
    </section>
  );
}

function Past() {
  const { runs, more, state, message } = useHistory();
  const [failedOnly, setFailedOnly] = useState(false);
  const listed = failedOnly ? runs.filter((run) => run.state === "failed") : runs;
  return (
    <section aria-labelledby="history-heading">
      <header className="panel-heading">
        <h3 id="history-heading">History</h3>
        <label className="check">
          <input type="checkbox" checked={failedOnly} onChange={(event) => setFailedOnly(event.target.checked)} />
          failed only
        </label>
      </header>
      {state === "failed" && <p className="hint">{message}</p>}
      {state === "ready" && listed.length === 0 && (
        <p className="hint">{failedOnly ? "No run failed." : "Finished runs are listed here, with what they made."}</p>
      )}
      <ol className="rows">
        {listed.map((run) => (
          <RunRow key={run.prompt_id} run={run} />
        ))}
      </ol>
      {more && runs.length > 0 && (
        <button type="button" className="button wide-button" disabled={state === "loading"} onClick={loadOlderRuns}>
          Show older runs
        </button>
      )}
    </section>
  );
}

export function QueuePanel() {
  return (
    <>
      <Waiting />
      <Past />
    </>
  );
}
