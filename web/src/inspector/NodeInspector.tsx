import { setColour, setFlag, setMode } from "../canvas/operations";
import { edit, endGesture } from "../document/actions";
import { patchMeta } from "../document/edits";
import { splitInputs } from "../document/geometry";
import type { DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { typeTitle, useNodeType } from "../catalog";
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

const colours = ["", "#7a4b4b", "#6e5f3c", "#4a6646", "#3d6166", "#48598a", "#6b4f80"];

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
            onChange={(event) => edit(patchMeta([node.id], { title: event.target.value || undefined }), `title ${node.id}`)}
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
        {colours.map((value) => (
          <button
            key={value}
            type="button"
            className="swatch"
            aria-label={value ? `Colour ${value}` : "No colour"}
            aria-pressed={(colour ?? "") === value}
            style={{ backgroundColor: value || undefined }}
            onClick={() => setColour(value || undefined)}
          />
        ))}
      </div>
    </Section>
  );
}

export function NodeInspector({ node }: { node: DocNode }) {
  const type = useNodeType(node.type);
  const { sockets, fields } = type ? splitInputs(type) : { sockets: [], fields: [] };
  return (
    <div className="inspector">
      <header className="inspector-header">
        <h2>{nodeTitle(node)}</h2>
        <p className="dim">
          {typeTitle(type, node.type)} · <code>{node.id}</code>
        </p>
        <p>{type ? type.doc : `This server has no node type '${node.type}'; the node is kept as it is, but does not run.`}</p>
      </header>
      <NodeStatus id={node.id} />
      {fields.length > 0 && <Inputs title="Parameters" node={node} inputs={fields} />}
      {sockets.length > 0 && <Inputs title="Inputs" node={node} inputs={sockets} />}
      {type && type.outputs.length > 0 && <Outputs node={node} type={type} />}
      <Looks node={node} />
      <SourceLines origin={node.meta.origin} />
    </div>
  );
}
