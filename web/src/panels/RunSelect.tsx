// RunSelect.tsx - choose one of the runs that have made something to look at.

import type { Run } from "../api";
import { captionOf } from "../runs/actions";
import { age } from "../runs/format";
import { useHistory } from "../runs/history";
import { mainFile } from "./media";

interface RunSelectProps {
  label: string;
  value?: Run;
  except?: string;
  disabled?: boolean;
  onChoose(run: Run): void;
}

export function RunSelect({ label, value, except, disabled, onChoose }: RunSelectProps) {
  const runs = useHistory().runs.filter((run) => mainFile(run) && run.prompt_id !== except);
  const listed = value && !runs.includes(value) ? [value, ...runs] : runs;
  return (
    <label className="run-select">
      <span>{label}</span>
      <select
        className="field"
        value={value?.prompt_id ?? ""}
        disabled={disabled || listed.length === 0}
        onChange={(event) => {
          const chosen = listed.find((run) => run.prompt_id === event.target.value);
          if (chosen) onChoose(chosen);
        }}
      >
        {!value && <option value="">{listed.length > 0 ? "another run\u2026" : "no other run"}</option>}
        {listed.map((run) => (
          <option key={run.prompt_id} value={run.prompt_id}>
            {captionOf(run)} ({run.ended_ms ? age(run.ended_ms) : "running"})
          </option>
        ))}
      </select>
    </label>
  );
}
