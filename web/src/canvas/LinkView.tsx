import { BaseEdge, getBezierPath, type EdgeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import { portLook } from "../ports";
import type { FlowLink } from "./flow";
import { useIsFocused } from "./LinkStops";

/** React Flow ends a link at the rim of a socket's target, which is larger than its dot. */
const reach = 10;

export const LinkView = memo(function LinkView(props: EdgeProps<FlowLink>) {
  const { sourceX, sourceY, targetX, targetY, sourcePosition, targetPosition, data } = props;
  const focused = useIsFocused(props.id);
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
      className={["link", data?.faded && "faded", focused && "focused"].filter(Boolean).join(" ")}
      style={{ "--port": portLook(data?.type ?? "*").colour } as CSSProperties}
    />
  );
});
