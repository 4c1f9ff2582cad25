import type { CSSProperties } from "react";
import { portLook, portName } from "../ports";

/** The sign of a port type in lists: its letter in its colour. */
export function PortMark({ type }: { type: string }) {
  const { letter, colour } = portLook(type);
  return (
    <span className="port-mark" style={{ "--port": colour } as CSSProperties} title={portName(type)} aria-hidden="true">
      {letter}
    </span>
  );
}
