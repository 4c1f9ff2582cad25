// viewport.ts - the view on the canvas for those outside React Flow: commands, panels.

import type { ReactFlowInstance, XYPosition } from "@xyflow/react";
import type { FlowLink, FlowNode } from "./flow";

let instance: ReactFlowInstance<FlowNode, FlowLink> | undefined;
let pointer: XYPosition | undefined;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const duration = () => (calm() ? 0 : 160);

export const setViewport = (next: ReactFlowInstance<FlowNode, FlowLink>) => (instance = next);

/** Where the pointer is over the canvas, on the screen. */
export const setPointer = (at: XYPosition | undefined) => (pointer = at);

const fitting = { padding: 0.15, maxZoom: 1 } as const;

/** Everything, or these nodes. */
export function fitView(ids?: readonly string[]): void {
  void instance?.fitView({ ...fitting, duration: duration(), nodes: ids?.map((id) => ({ id })) });
}

export function zoomBy(direction: 1 | -1): void {
  if (direction > 0) void instance?.zoomIn({ duration: duration() });
  else void instance?.zoomOut({ duration: duration() });
}

/** From the screen to the plane of the nodes. */
export function toPlane(at: XYPosition): XYPosition {
  return instance?.screenToFlowPosition(at) ?? { x: 0, y: 0 };
}

/** The pointer when it is over the canvas, else the middle of the canvas; on the screen. */
export function handPosition(): XYPosition {
  if (pointer) return pointer;
  const box = document.querySelector(".canvas")?.getBoundingClientRect();
  return box ? { x: box.x + box.width / 2, y: box.y + box.height / 3 } : { x: 0, y: 0 };
}

/** Keyboard focus on a node, which is brought into view. */
export function focusNode(id: string): void {
  const element = document.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
  if (element) element.focus({ focusVisible: true } as FocusOptions);
  else fitView([id]);
}
