// ResultRow.tsx - one stored result; opened, it shows its outputs and what there is to see.

import { useId, useState, type ReactNode } from "react";
import { api, previewUrl, type Result, type ResultOutput } from "../api";
import { Icon, IconButton } from "../icons";
import { age, bytes, count, duration } from "../runs/format";
import { useAsked } from "./useDetail";

function shapeOf({ shape, dtype }: ResultOutput): string {
  const text = Array.isArray(shape) ? shape.join(" \u00d7 ") : (shape ?? "");
  return [text, dtype].filter(Boolean).join(" ");
}

function Detail({ result }: { result: Result }) {
  const { value, error } = useAsked(result.key, (signal) => api.result(result.key, { signal }));
  return (
    <div className="result-detail">
      {value?.viewable && <img src={previewUrl(result.key, { size: 256 })} alt={`Picture of this ${result.type}`} />}
      <dl>
        {(value?.outputs ?? []).map((output) => (
          <div key={output.name}>
            <dt>{output.name}</dt>
            <dd>
              {output.type} {shapeOf(output)} {output.text && <q>{output.text.slice(0, 200)}</q>}
            </dd>
          </div>
        ))}
        <div>
          <dt>key</dt>
          <dd className="key">{result.key}</dd>
        </div>
      </dl>
      {error && <p className="hint">{error}</p>}
    </div>
  );
}

interface ResultRowProps {
  result: Result;
  onPin: () => void;
  onEvict: () => void;
}

export function ResultRow({ result, onPin, onEvict }: ResultRowProps) {
  const [open, setOpen] = useState(false);
  const detail = useId();
  const name = `${result.type}, ${bytes(result.bytes)}`;
  return (
    <li className="result-row" data-pinned={result.pinned || undefined}>
      <div className="result-line">
        <button
          type="button"
          className="disclosure"
          aria-expanded={open}
          aria-controls={detail}
          onClick={() => setOpen(!open)}
        >
          <Icon name={open ? "chevronDown" : "chevronRight"} />
          <span className="result-type">{result.type}</span>
          <span className="result-bytes">{bytes(result.bytes)}</span>
          <span className="run-facts">
            used {age(result.used_ms)}, cost {duration(result.cost_ms / 1000)}
          </span>
        </button>
        <span className="row-actions">
          <IconButton icon="pin" label={`Pin ${name}`} pressed={result.pinned} onClick={onPin} />
          <IconButton icon="trash" label={`Evict ${name}`} disabled={result.pinned} onClick={onEvict} />
        </span>
      </div>
      <div id={detail}>{open && <Detail result={result} />}</div>
    </li>
  );
}

/** Many results as one row, which opens to `children`. */
export function ResultGroup({ results, children }: { results: readonly Result[]; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const list = useId();
  const sum = (of: (result: Result) => number) => results.reduce((total, result) => total + of(result), 0);
  return (
    <li className="result-row">
      <div className="result-line">
        <button
          type="button"
          className="disclosure"
          aria-expanded={open}
          aria-controls={list}
          onClick={() => setOpen(!open)}
        >
          <Icon name={open ? "chevronDown" : "chevronRight"} />
          <span className="result-type">{count(results.length, "step result")}</span>
          <span className="result-bytes">{bytes(sum((result) => result.bytes))}</span>
          <span className="run-facts">
            used {age(Math.max(...results.map((result) => result.used_ms)))}, cost{" "}
            {duration(sum((result) => result.cost_ms) / 1000)}
          </span>
        </button>
      </div>
      <ul id={list} className="rows result-group">
        {open && children}
      </ul>
    </li>
  );
}
