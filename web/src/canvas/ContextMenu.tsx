import type { XYPosition } from "@xyflow/react";
import { useEffect, useRef, type KeyboardEvent } from "react";
import { commandById } from "../commands";
import { keyOf } from "../page/keys";
import { closePopup } from "./popups";

interface MenuProps {
  at: XYPosition;
  label: string;
  /** Ids of commands; null draws a line. */
  commands: readonly (string | null)[];
}

export function ContextMenu({ at, label, commands }: MenuProps) {
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const element = menu.current!;
    element.querySelector("button")?.focus();
    const box = element.getBoundingClientRect();
    element.style.left = `${Math.max(8, Math.min(at.x, innerWidth - box.width - 8))}px`;
    element.style.top = `${Math.max(8, Math.min(at.y, innerHeight - box.height - 8))}px`;
    return () => {
      if (before?.isConnected) before.focus({ preventScroll: true });
    };
  }, [at]);

  const onKey = (event: KeyboardEvent) => {
    const items = [...menu.current!.querySelectorAll("button")];
    const now = items.indexOf(document.activeElement as HTMLButtonElement);
    if (event.key === "ArrowDown") items[(now + 1) % items.length]?.focus();
    else if (event.key === "ArrowUp") items.at(now - 1)?.focus();
    else if (event.key === "Escape" || event.key === "Tab") closePopup();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={menu}
      className="popup menu"
      role="menu"
      aria-label={label}
      style={{ left: at.x, top: at.y }}
      onKeyDown={onKey}
      onBlur={(event) => !menu.current?.contains(event.relatedTarget) && closePopup()}
    >
      {commands.map((id, i) => {
        if (id === null) return <hr key={i} />;
        const command = commandById(id);
        return (
          <button
            key={id}
            type="button"
            role="menuitem"
            onClick={() => {
              closePopup();
              command.run();
            }}
          >
            {command.label}
            <kbd>{keyOf(command)}</kbd>
          </button>
        );
      })}
    </div>
  );
}
