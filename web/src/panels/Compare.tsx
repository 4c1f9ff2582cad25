// Compare.tsx - two runs side by side: what they show, and in which settings they differ.

import { previewUrl, type GraphDocument, type Run } from "../api";
import { captionOf } from "../runs/actions";
import { Dialog } from "./Dialog";
import { differences } from "./differences";
import { mainFile, mediaOf } from "./media";
import { closeOverlay, openOverlay, type StepPair } from "./overlay";
import { RunSelect } from "./RunSelect";
import { Stage, type Side } from "./Stage";
import { useRunDetail } from "./useDetail";

function Differences({ left, right }: { left: GraphDocument; right: GraphDocument }) {
  const rows = differences(left, right);
  if (rows.length === 0) return <p className="hint">Both runs have the same settings.</p>;
  return (
    <table className="differences">
      <caption>What differs</caption>
      <thead>
        <tr>
          <th scope="col">Setting</th>
          <th scope="col">Left</th>
          <th scope="col">Right</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={`${row.node} ${row.input}`}>
            <th scope="row">
              {row.node} {row.input && <span className="input-name">{row.input}</span>}
            </th>
            <td>{row.left}</td>
            <td>{row.right}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function sideOf(run: Run, document: GraphDocument | undefined): Side | null {
  const file = mainFile(run);
  return file ? { label: captionOf(run), media: mediaOf(file, document) } : null;
}

export function Compare({ left, right }: { left: Run; right: Run }) {
  const leftDetail = useRunDetail(left.prompt_id);
  const rightDetail = useRunDetail(right.prompt_id);
  const leftSide = sideOf(left, leftDetail.value?.document);
  const rightSide = sideOf(right, rightDetail.value?.document);
  const error = leftDetail.error ?? rightDetail.error;
  return (
    <Dialog title="Compare two runs" className="compare" onClose={closeOverlay}>
      <div className="compare-runs">
        <RunSelect
          label="Left"
          value={left}
          except={right.prompt_id}
          onChoose={(run) => openOverlay({ kind: "compare", left: run, right })}
        />
        <RunSelect
          label="Right"
          value={right}
          except={left.prompt_id}
          onChoose={(run) => openOverlay({ kind: "compare", left, right: run })}
        />
      </div>
      {leftSide && rightSide && <Stage sides={[leftSide, rightSide]} />}
      {error && <p className="hint">{error}</p>}
      {leftDetail.value && rightDetail.value && (
        <Differences left={leftDetail.value.document} right={rightDetail.value.document} />
      )}
    </Dialog>
  );
}

/** A stored step beside the last one; all frames, moving. */
export function CompareSteps({ pair }: { pair: StepPair }) {
  const side = ({ label, key }: { label: string; key: string }): Side => ({
    label,
    media: { kind: "image", url: previewUrl(key, { frame: -2, size: 512, format: "webp" }) },
  });
  return (
    <Dialog title={pair.title} className="compare" onClose={closeOverlay}>
      <Stage sides={[side(pair.left), side(pair.right)]} />
    </Dialog>
  );
}
