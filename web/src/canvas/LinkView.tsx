import { BaseEdge, getBezierPath, Position, type EdgeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import type { Point } from "../document/model";
import { portLook } from "../ports";
import { useStore } from "../store";
import { useBends } from "./Bends";
import type { FlowLink } from "./flow";
import { useIsFocused } from "./LinkStops";
import { selection } from "./selection";

/** React Flow ends a link at the rim of a socket's target, which is larger than its dot. */
const reach = 10;

/** From left to right through all of these. */
function pathThrough(points: readonly Point[]): string {
  const parts = points.slice(1).map(([targetX, targetY], i) => {
    const [sourceX, sourceY] = points[i]!;
    const sides = { sourcePosition: Position.Right, targetPosition: Position.Left };
    return getBezierPath({ sourceX, sourceY, targetX, targetY, ...sides, curvature: 0.3 })[0];
  });
  return parts.join(" ");
}

export const LinkView = memo(function LinkView(props: EdgeProps<FlowLink>) {
  const { sourceX, sourceY, targetX, targetY, data } = props;
  const focused = useIsFocused(props.id);
  const near = useStore(selection, ({ nodes }) => nodes.has(props.source) || nodes.has(props.target));
  const colour = portLook(data?.type ?? "*").colour;
  const { points, handles } = useBends(props.target, props.targetHandleId ?? "", data?.bends, colour);
  const path = pathThrough([[sourceX - reach, sourceY], ...points, [targetX + reach, targetY]]);
  return (
    <>
      <BaseEdge
        path={path}
        interactionWidth={16}
        className={["link", data?.faded && "faded", focused && "focused", near && "near"].filter(Boolean).join(" ")}
        style={{ "--port": colour } as CSSProperties}
      />
      {handles}
    </>
  );
});
