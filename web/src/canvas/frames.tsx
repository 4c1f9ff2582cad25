// frames.tsx - boxes around nodes: groups a person drew, scopes that ids name, and scopes folded into one box.

import { NodeResizer, type NodeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import type { Group } from "../api";
import { edit, endGesture } from "../document/actions";
import { patchGroup } from "../document/edits";
import { useDraft } from "../fields/useDraft";
import { Icon, IconButton } from "../icons";
import { useNodeState } from "../runs/state";
import { toggleScope } from "../scopes/unfold";
import type { FrameFlowNode, GroupFlowNode, Port, ScopeFlowNode } from "./flow";
import { Socket } from "./Socket";
import { StateBadge } from "./StateBadge";

function GroupTitle({ group }: { group: Group }) {
  const [text, type, leave] = useDraft(group.title, (title) =>
    edit(patchGroup(group.id, { title }), `group ${group.id}`),
  );
  return (
    <input
      className="field title-field nodrag"
      aria-label="Group title"
      value={text}
      onChange={(event) => type(event.target.value)}
      onBlur={() => {
        leave();
        endGesture();
      }}
    />
  );
}

export const GroupView = memo(function GroupView({ data, selected }: NodeProps<GroupFlowNode>) {
  const { id, colour } = data.group;
  return (
    <section
      className={`frame group${selected ? " selected" : ""}${colour ? " tinted" : ""}`}
      style={colour ? ({ "--tint": colour } as CSSProperties) : undefined}
    >
      <NodeResizer
        isVisible={selected}
        minWidth={96}
        minHeight={64}
        onResizeEnd={(_, { x, y, width, height }) => edit(patchGroup(id, { box: [x, y, width, height] }))}
      />
      <header className="frame-title">
        <GroupTitle group={data.group} />
      </header>
    </section>
  );
});

export const FrameView = memo(function FrameView({ data, selected }: NodeProps<FrameFlowNode>) {
  const { scope, count } = data;
  return (
    <section className={selected ? "frame selected" : "frame"}>
      <header className="frame-title">
        <IconButton icon="chevronDown" label={`Fold ${scope}`} onClick={() => toggleScope(scope)} />
        {scope} <span className="dim">{count} nodes</span>
      </header>
    </section>
  );
});

function PortRow({ input, output, scope }: { input?: Port; output?: Port; scope: string }) {
  return (
    <div className="row">
      {input && (
        <Socket side="input" id={input.handle} name={input.label} type={input.type} owner={scope} linked fixed />
      )}
      <span className="row-label">{input?.label}</span>
      <span className="row-label output">{output?.label}</span>
      {output && <Socket side="output" id={output.handle} name={output.label} type={output.type} owner={scope} fixed />}
    </div>
  );
}

export const ScopeView = memo(function ScopeView({ data, selected }: NodeProps<ScopeFlowNode>) {
  const { scope, count, inputs, outputs } = data;
  const { state, share } = useNodeState(scope);
  const rows = Math.max(inputs.length, outputs.length);
  return (
    <section className={`node scope is-${state}${selected ? " selected" : ""}`}>
      <header className="node-header">
        <IconButton icon="chevronRight" label={`Unfold ${scope}`} onClick={() => toggleScope(scope)} />
        <span className="node-title">{scope}</span>
        <StateBadge id={scope} known />
      </header>
      {state === "running" && <progress className="node-progress" max={1} value={share} aria-hidden="true" />}
      <div className="node-body">
        <div className="row">
          <span className="row-label dim">
            <Icon name="folder" /> {count} nodes
          </span>
        </div>
        {Array.from({ length: rows }, (_, i) => (
          <PortRow key={i} input={inputs[i]} output={outputs[i]} scope={scope} />
        ))}
      </div>
    </section>
  );
});
