import { Handle, Position } from "@xyflow/react";
import { memo, type CSSProperties, type MouseEvent } from "react";
import { portLook, portName } from "../ports";

interface SocketProps {
  side: "input" | "output";
  /** Handle id: an input's name, an output's index. */
  id: string;
  name: string;
  type: string;
  /** Title of the node, for the spoken name. */
  owner: string;
  linked?: boolean;
  /** An input with a field: quieter until something hangs on it. */
  minor?: boolean;
  /** Why the input is not valid. */
  problem?: string;
  fixed?: boolean;
}

/** Dragging from an input that has a link takes that link's end, as hands expect. React Flow keeps a handle for it on
 *  the link itself, so the press is handed on to that. */
function grabLink(event: MouseEvent<HTMLElement>, input: string): void {
  if (event.button !== 0) return;
  const id = `${event.currentTarget.dataset.nodeid} ${input}`;
  const anchor = document.querySelector(
    `.react-flow__edge[data-id="${CSS.escape(id)}"] .react-flow__edgeupdater-target`,
  );
  if (!anchor) return;
  event.stopPropagation();
  event.preventDefault();
  const { clientX, clientY } = event;
  anchor.dispatchEvent(new globalThis.MouseEvent("mousedown", { bubbles: true, cancelable: true, clientX, clientY }));
}

/** A socket: one colour and one letter a type. */
export const Socket = memo(function Socket({
  side,
  id,
  name,
  type,
  owner,
  linked,
  minor,
  problem,
  fixed,
}: SocketProps) {
  const look = portLook(type);
  const classes = ["socket", linked && "linked", minor && "minor", problem && "invalid"].filter(Boolean).join(" ");
  return (
    <Handle
      type={side === "input" ? "target" : "source"}
      position={side === "input" ? Position.Left : Position.Right}
      id={id}
      className={classes}
      style={{ "--port": look.colour } as CSSProperties}
      isConnectable={!fixed}
      role="button"
      aria-label={`${owner} ${side} ${name}, ${portName(type)}`}
      title={problem ?? `${name}: ${portName(type)}`}
      onMouseDownCapture={side === "input" && linked ? (event) => grabLink(event, id) : undefined}
    >
      <span className="socket-dot" aria-hidden="true">
        {look.letter}
      </span>
    </Handle>
  );
});
