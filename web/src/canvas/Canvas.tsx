import {
  Background,
  BackgroundVariant,
  MiniMap,
  ReactFlow,
  SelectionMode,
  useKeyPress,
  useStore,
  type Connection,
  type FinalConnectionState,
  type HandleType,
  type NodeTypes,
  type EdgeTypes,
} from "@xyflow/react";
import { useCallback, useEffect, useRef, type DragEvent, type MouseEvent as ReactMouseEvent } from "react";
import { boxOf } from "../document/layout";
import type { Point } from "../document/model";
import { currentDoc, useDoc } from "../document/session";
import { useUi } from "../page/ui";
import { addBend } from "./Bends";
import { dropLink, inputAt, linkOf, makeLink, moveLink, outputAt, whyNot, type LooseEnd } from "./connect";
import { dragType } from "./dragType";
import { EmptyHint } from "./EmptyHint";
import { redirectTap, redirectTouch } from "./fingers";
import { FrameView, GroupView, ScopeView } from "./frames";
import type { FlowLink, FlowNode } from "./flow";
import { LinkStops } from "./LinkStops";
import { LinkView } from "./LinkView";
import { menuFor } from "./menus";
import { NodeView } from "./NodeView";
import { addNode } from "./operations";
import { closePopup, openPopup } from "./popups";
import { useFlow } from "./useFlow";
import { movedByHand, setPointer, setViewport, toPlane, watchCanvasSize } from "./viewport";
import { ZoomControls } from "./ZoomControls";

const nodeTypes: NodeTypes = { node: NodeView, group: GroupView, frame: FrameView, scope: ScopeView } as NodeTypes;
const edgeTypes: EdgeTypes = { link: LinkView } as unknown as EdgeTypes;
const addKeys = ["Shift", "Control", "Meta"];
const selectKeys = ["Control", "Meta"];
const panButtons = [0, 1];
const snapGrid: [number, number] = [16, 16];

/** Below this zoom no field can be read: nodes show their titles, large, and are cheap to draw. */
const farZoom = 0.33;
const minimapSize = { width: 150, height: 96 };
const minimapClass = (node: FlowNode) => `map-${node.type}`;

/** A bend where the link was pressed twice; a link of a folded scope stands for several. */
function bendLink(event: ReactMouseEvent, link: FlowLink): void {
  const { x, y } = toPlane({ x: event.clientX, y: event.clientY });
  const doc = currentDoc();
  const [source, target] = [doc.nodes.get(link.source), doc.nodes.get(link.target)];
  if (!source || !target) return;
  const begin = boxOf(source);
  const ends: [Point, Point] = [[begin.x + begin.width, begin.y], target.meta.pos];
  addBend(link.target, link.targetHandle ?? "", [Math.round(x), Math.round(y)], ends);
}

/** By hand; without an event the view was fitted. */
function onMoveStart(event: MouseEvent | TouchEvent | null): void {
  if (!event) return;
  movedByHand();
  closePopup();
}

function pointOf(event: MouseEvent | TouchEvent): { x: number; y: number } {
  const point = "changedTouches" in event ? event.changedTouches[0]! : event;
  return { x: point.clientX, y: point.clientY };
}

/** The end a dragged link hangs on, as the document knows it. */
function looseEnd(state: FinalConnectionState): LooseEnd | undefined {
  const handle = state.fromHandle;
  if (!handle?.id) return undefined;
  const doc = currentDoc();
  if (handle.type === "source") {
    const slot = Number(handle.id);
    const output = outputAt(doc, handle.nodeId, slot);
    return output && { node: handle.nodeId, slot, type: output.type };
  }
  const input = inputAt(doc, handle.nodeId, handle.id);
  return input && { node: handle.nodeId, input: handle.id, type: input.type };
}

const isValid = (connection: Connection | FlowLink) =>
  whyNot(
    currentDoc(),
    linkOf({
      ...connection,
      sourceHandle: connection.sourceHandle ?? null,
      targetHandle: connection.targetHandle ?? null,
    }),
  ) === null;

export function Canvas() {
  const flow = useFlow();
  const snap = useKeyPress("Shift");
  const { minimap, links } = useUi();
  const empty = useDoc().nodes.size === 0;
  const far = useStore((now) => now.transform[2] < farZoom);
  const moving = useRef(false);
  const canvas = useRef<HTMLElement>(null);

  const onConnectEnd = useCallback((event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
    if (moving.current || state.isValid || state.toHandle) return;
    const end = looseEnd(state);
    const target = document.elementFromPoint(pointOf(event).x, pointOf(event).y);
    if (end && target?.closest(".react-flow__pane")) openPopup({ kind: "search", at: pointOf(event), end });
  }, []);

  const onReconnectStart = useCallback(() => {
    moving.current = true;
  }, []);

  const onReconnectEnd = useCallback((_: unknown, link: FlowLink, __: HandleType, state: FinalConnectionState) => {
    moving.current = false;
    if (!state.isValid)
      dropLink(linkOf({ ...link, sourceHandle: link.sourceHandle ?? null, targetHandle: link.targetHandle ?? null }));
  }, []);

  const onReconnect = useCallback((old: FlowLink, next: Connection) => {
    moveLink({ target: old.target, input: old.targetHandle ?? "" }, linkOf(next));
  }, []);

  useEffect(() => {
    const element = canvas.current!;
    const stop = watchCanvasSize(element);
    element.addEventListener("click", redirectTap, true);
    element.addEventListener("touchstart", redirectTouch, true);
    return () => {
      stop();
      element.removeEventListener("click", redirectTap, true);
      element.removeEventListener("touchstart", redirectTouch, true);
    };
  }, []);

  const onDoubleClick = (event: ReactMouseEvent) => {
    if (!(event.target as Element).classList.contains("react-flow__pane")) return;
    openPopup({ kind: "search", at: { x: event.clientX, y: event.clientY } });
  };

  const onMenu = useCallback(
    (event: { preventDefault(): void; clientX: number; clientY: number }, thing?: FlowNode | FlowLink) => {
      event.preventDefault();
      openPopup(menuFor({ x: event.clientX, y: event.clientY }, thing));
    },
    [],
  );

  const onDrop = (event: DragEvent) => {
    const type = event.dataTransfer.getData(dragType);
    if (!type) return;
    event.preventDefault();
    const { x, y } = toPlane({ x: event.clientX, y: event.clientY });
    addNode(type, [Math.round(x), Math.round(y)]);
  };

  return (
    <main
      ref={canvas}
      className={["canvas", far && "far", !links && "links-hidden"].filter(Boolean).join(" ")}
      aria-label="Graph"
      onDoubleClick={onDoubleClick}
      onDragOver={(event) => event.preventDefault()}
      onDrop={onDrop}
      onPointerMove={(event) => setPointer({ x: event.clientX, y: event.clientY })}
      onPointerLeave={() => setPointer(undefined)}
    >
      <ReactFlow<FlowNode, FlowLink>
        nodes={flow.nodes}
        edges={flow.links}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        onInit={setViewport}
        onNodesChange={flow.onNodesChange}
        onEdgesChange={flow.onLinksChange}
        onConnect={(connection) => makeLink(linkOf(connection))}
        onConnectEnd={onConnectEnd}
        onReconnect={onReconnect}
        onReconnectStart={onReconnectStart}
        onReconnectEnd={onReconnectEnd}
        isValidConnection={isValid}
        onPaneClick={closePopup}
        onMoveStart={onMoveStart}
        onNodeContextMenu={onMenu}
        onEdgeContextMenu={onMenu}
        onEdgeDoubleClick={bendLink}
        onPaneContextMenu={(event) => onMenu(event)}
        onSelectionContextMenu={(event) => onMenu(event)}
        selectionMode={SelectionMode.Partial}
        selectionKeyCode={selectKeys}
        multiSelectionKeyCode={addKeys}
        panOnDrag={panButtons}
        panActivationKeyCode="Space"
        zoomOnDoubleClick={false}
        deleteKeyCode={null}
        snapToGrid={snap}
        snapGrid={snapGrid}
        connectionRadius={28}
        reconnectRadius={12}
        edgesFocusable={false}
        elevateNodesOnSelect
        minZoom={0.08}
        maxZoom={2.5}
        onlyRenderVisibleElements={flow.nodes.length > 150}
        disableKeyboardA11y={false}
      >
        {!far && <Background variant={BackgroundVariant.Dots} gap={24} size={1} />}
        {minimap && !empty && (
          <MiniMap style={minimapSize} pannable zoomable ariaLabel="Minimap" nodeClassName={minimapClass} />
        )}
        <LinkStops links={flow.links} />
        <ZoomControls />
      </ReactFlow>
      {empty && <EmptyHint />}
    </main>
  );
}
