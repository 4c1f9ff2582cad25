// viewport.ts - the view on the canvas for those outside React Flow: commands, panels.

import type { FitViewOptions, ReactFlowInstance, XYPosition } from "@xyflow/react";
import { currentDoc } from "../document/session";
import type { Point } from "../document/model";
import { ui } from "../page/ui";
import type { FlowLink, FlowNode } from "./flow";

let instance: ReactFlowInstance<FlowNode, FlowLink> | undefined;
let pointer: XYPosition | undefined;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const duration = () => (calm() ? 0 : 160);

export const setViewport = (next: ReactFlowInstance<FlowNode, FlowLink>) => (instance = next);

/** Where the pointer is over the canvas, on the screen. */
export const setPointer = (at: XYPosition | undefined) => (pointer = at);

/** Around what is shown; below it is room for the minimap, or else the zoom controls. */
function fitting(): FitViewOptions<FlowNode> {
  return { padding: { x: "40px", top: "32px", bottom: ui.get().minimap ? "128px" : "56px" }, maxZoom: 1 };
}

/** Everything, or these nodes. An empty canvas keeps its view: React Flow would fit the first node that is added. */
export function fitView(ids?: readonly string[], lasting = duration()): void {
  fitted = ids === undefined && instance?.getNodes().length !== 0;
  if (instance?.getNodes().length === 0) return;
  void instance?.fitView({ ...fitting(), duration: lasting, nodes: ids?.map((id) => ({ id })) });
}

/**
 * Everything, as soon as it is measured; within two seconds. Until then nothing is shown: a graph that is opened stands
 * still from the first. Returns what calls it off.
 */
export function fitDrawn(): () => void {
  const canvas = document.querySelector(".canvas");
  let patience = 100;
  const look = () => {
    const nodes = instance?.getNodes() ?? [];
    const drawn = nodes.length > 0 && nodes.every((node) => node.measured?.width);
    if (!drawn && currentDoc().nodes.size > 0 && --patience > 0) {
      timer = setTimeout(look, 20);
      return;
    }
    fitView(undefined, 0);
    canvas?.removeAttribute("data-fitting");
  };
  let timer = setTimeout(look, 50); // the nodes of the document before are gone by then
  canvas?.setAttribute("data-fitting", "");
  return () => {
    clearTimeout(timer);
    canvas?.removeAttribute("data-fitting");
  };
}

export function zoomBy(direction: 1 | -1): void {
  movedByHand();
  if (direction > 0) void instance?.zoomIn({ duration: duration() });
  else void instance?.zoomOut({ duration: duration() });
}

/** Everything is shown so far from where it is drawn, on the plane; of 300 nodes that takes a third of drawing each at
 *  its new place. null: where it is. */
export function carry(by: Point | null): void {
  const plane = document.querySelector<HTMLElement>(".react-flow__viewport");
  plane?.classList.toggle("carried", by !== null);
  // On the layers themselves: a custom property would be passed down to everything in them, in every frame.
  for (const layer of plane?.querySelectorAll<HTMLElement>(":scope > *") ?? []) {
    layer.style.translate = by ? `${by[0]}px ${by[1]}px` : "";
  }
}

/** Was the view fitted last, and not moved by hand since? */
let fitted = false;

export const movedByHand = () => {
  fitted = false;
};

/** The canvas has another size: what was fitted is fitted again, else the middle stays the middle. */
export function watchCanvasSize(canvas: HTMLElement): () => void {
  let { width, height } = canvas.getBoundingClientRect();
  const observer = new ResizeObserver(([entry]) => {
    const next = entry!.contentRect;
    const [dx, dy] = [(next.width - width) / 2, (next.height - height) / 2];
    [width, height] = [next.width, next.height];
    if (!instance || (dx === 0 && dy === 0)) return;
    const { x, y, zoom } = instance.getViewport();
    if (fitted && instance.getNodes().length > 0) void instance.fitView(fitting());
    else void instance.setViewport({ x: x + dx, y: y + dy, zoom });
  });
  observer.observe(canvas);
  return () => observer.disconnect();
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

const nodeElement = (id: string) =>
  document.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);

/** Is the node on the screen, whole? */
export function isInView(id: string): boolean {
  const node = nodeElement(id)?.getBoundingClientRect();
  const canvas = document.querySelector(".canvas")?.getBoundingClientRect();
  if (!node || !canvas) return false;
  return (
    node.left >= canvas.left && node.right <= canvas.right && node.top >= canvas.top && node.bottom <= canvas.bottom
  );
}

/**
 * Keyboard focus on a node. One that was just added is waited for, up to a second, unless the user goes on to something
 * else meanwhile; one that React Flow has and does not draw is far away, and comes into view.
 */
export function focusNode(id: string, patience = 60, before = document.activeElement): void {
  const now = document.activeElement;
  if (now !== before && now !== document.body) return;
  const element = nodeElement(id);
  if (element) element.focus({ preventScroll: true });
  else if (patience <= 0) fitView([id]);
  else requestAnimationFrame(() => focusNode(id, patience - (instance?.getNode(id) ? 20 : 1), before));
}
