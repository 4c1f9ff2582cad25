import { NodeResizeControl, type NodeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import { hasPreview } from "../catalog";
import { edit } from "../document/actions";
import { patchMeta } from "../document/edits";
import { grid, leastSize } from "../document/geometry";
import { nodeTitle } from "../document/names";
import { useNodeState } from "../runs/state";
import { ScopeSteps } from "../scopes/ScopeSteps";
import type { GraphFlowNode } from "./flow";
import { NodeBody } from "./NodeBody";
import { NodeError } from "./NodeError";
import { NodeHeader } from "./NodeHeader";
import { NodePreview } from "./NodePreview";

function Resizer({ node, type }: GraphFlowNode["data"]) {
  const least = leastSize(type, node);
  return (
    <NodeResizeControl
      className="node-resizer nodrag"
      position="bottom-right"
      minWidth={160}
      minHeight={least.height}
      onResizeEnd={(_, { width, height }) => {
        const size: [number, number] = [Math.round(width / grid) * grid, Math.max(least.height, Math.round(height))];
        edit(patchMeta([node.id], { size }));
      }}
    />
  );
}

/** Its place is React Flow's affair: a node that is only moved is not drawn again. */
const looksSame = (a: NodeProps<GraphFlowNode>, b: NodeProps<GraphFlowNode>) =>
  a.id === b.id && a.data === b.data && a.selected === b.selected;

/** A node of the document: sockets, fields, and what its run is doing. */
export const NodeView = memo(function NodeView({ id, data, selected }: NodeProps<GraphFlowNode>) {
  const { node, type, unfolded } = data;
  const { state, share } = useNodeState(id);
  const { mode, collapsed, pinned, colour } = node.meta;
  const classes = [
    "node",
    `is-${state}`,
    mode && `is-${mode}`,
    selected && "selected",
    unfolded && "unfolded",
    colour && "tinted",
    !type && "unknown",
  ];
  return (
    <div
      className={classes.filter(Boolean).join(" ")}
      data-category={type?.category}
      style={colour ? ({ "--tint": colour } as CSSProperties) : undefined}
    >
      <NodeHeader node={node} type={type} />
      {state === "running" && <progress className="node-progress" max={1} value={share} aria-hidden="true" />}
      <NodeBody
        node={node}
        type={type}
        title={nodeTitle(node)}
        collapsed={Boolean(collapsed)}
        preview={type && hasPreview(type) && <NodePreview id={id} />}
        inside={unfolded && <ScopeSteps scope={id} />}
      />
      <NodeError id={id} />
      {selected && !collapsed && !pinned && !unfolded && <Resizer {...data} />}
    </div>
  );
}, looksSame);
