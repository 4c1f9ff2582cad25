import { setColour, setFlag, setMode } from "../canvas/operations";
import { edit, endGesture } from "../document/actions";
import { patchMeta } from "../document/edits";
import { splitInputs } from "../document/geometry";
import type { DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useScripted } from "../document/session";
import { typeTitle, useNodeType } from "../catalog";
import { useNodeState } from "../runs/state";
import { Inputs } from "./Inputs";
import { NodeStatus } from "./NodeStatus";
import { Outputs } from "./Outputs";
import { Section } from "./Section";
import { SourceLines } from "./SourceLines";

function Toggle({ label, on, onClick }: { label: string; on: boolean; onClick: () => void }) {
  return (
    <button type="button" className="button small" aria-pressed={on} onClick={onClick}>
      {label}
    </button>
  );
}

const colours = {
  red: "#b0605c",
  yellow: "#a8893c",
  green: "#5d9160",
  blue: "#5273b5",
  purple: "#8b62ad",
  grey: "#8a8d94",
};

function Swatch({ name, value, current }: { name: string; value: string | undefined; current: string | undefined }) {
  return (
    <button
      type="button"
      className="swatch"
      aria-label={name}
      title={name}
      aria-pressed={current === value}
      style={{ backgroundColor: value }}
      onClick={() => setColour(value)}
    />
  );
}

function Looks({ node }: { node: DocNode }) {
  const { mode, collapsed, pinned, colour } = node.meta;
  return (
    <Section title="Node">
      <label className="form-row">
        <span className="form-label">title</span>
        <span className="form-field">
          <input
            className="field"
            value={node.meta.title ?? ""}
            placeholder={nodeTitle({ ...node, meta: { ...node.meta, title: undefined } })}
            onChange={(event) =>
              edit(patchMeta([node.id], { title: event.target.value || undefined }), `title ${node.id}`)
            }
            onBlur={endGesture}
          />
        </span>
      </label>
      <div className="toggles">
        <Toggle label="Mute" on={mode === "mute"} onClick={() => setMode("mute")} />
        <Toggle label="Bypass" on={mode === "bypass"} onClick={() => setMode("bypass")} />
        <Toggle label="Collapse" on={Boolean(collapsed)} onClick={() => setFlag("collapsed")} />
        <Toggle label="Pin" on={Boolean(pinned)} onClick={() => setFlag("pinned")} />
      </div>
      <div className="swatches" role="group" aria-label="Colour">
        <Swatch name="No colour" value={undefined} current={colour} />
        {Object.entries(colours).map(([name, value]) => (
          <Swatch key={name} name={name} value={value} current={colour} />
        ))}
      </div>
    </Section>
  );
}

export function NodeInspector({ node }: { node: DocNode }) {
  const type = useNodeType(node.type);
  const scripted = useScripted();
  const { error } = useNodeState(node.id);
  const place = <SourceLines origin={error?.origin ?? node.meta.origin} />;
  const { sockets, fields } = type ? splitInputs(type) : { sockets: [], fields: [] };
  const plain = fields.filter((input) => !input.advanced);
  const advanced = fields.filter((input) => input.advanced);
  return (
    <div className="inspector">
      <header className="inspector-header">
        <h2>{nodeTitle(node)}</h2>
        <p className="dim">
          {typeTitle(type, node.type)} · <code>{node.id}</code>
        </p>
        <p>
          {type
            ? type.doc
            : scripted
              ? `'${node.type}' is a node of this graph's script: its inputs are set there.`
              : `This server has no node type '${node.type}'; the node is kept as it is, but does not run.`}
        </p>
      </header>
      <NodeStatus id={node.id} />
      {error && place}
      {plain.length > 0 && <Inputs title="Parameters" node={node} inputs={plain} />}
      {sockets.length > 0 && <Inputs title="Inputs" node={node} inputs={sockets} />}
      {advanced.length > 0 && <Inputs title="Advanced" node={node} inputs={advanced} />}
      {type && type.outputs.length > 0 && <Outputs node={node} type={type} />}
      <Looks node={node} />
      {!error && place}
    </div>
  );
}
