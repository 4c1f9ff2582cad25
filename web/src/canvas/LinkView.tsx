import { BaseEdge, getBezierPath, type EdgeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import { portLook } from "../ports";
import type { FlowLink } from "./flow";
import { useIsFocused } from "./LinkStops";
import { selection } from "./selection";
import { useStore } from "../store";

/** React Flow ends a link at the rim of a socket's target, which is larger than its dot. */
const reach = 10;

export const LinkView = memo(function LinkView(props: EdgeProps<FlowLink>) {
  const { sourceX, sourceY, targetX, targetY, sourcePosition, targetPosition, data } = props;
  const focused = useIsFocused(props.id);
  const near = useStore(selection, ({ nodes }) => nodes.has(props.source) || nodes.has(props.target));
  const [path] = getBezierPath({
    sourceX: sourceX - reach,
    sourceY,
    targetX: targetX + reach,
    targetY,
    sourcePosition,
    targetPosition,
    curvature: 0.3,
  });
  return (
    <BaseEdge
      path={path}
      interactionWidth={16}
      className={["link", data?.faded && "faded", focused && "focused", near && "near"].filter(Boolean).join(" ")}
      style={{ "--port": portLook(data?.type ?? "*").colour } as CSSProperties}
    />
  );
});
