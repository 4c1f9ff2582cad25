// Dialog.tsx - a large modal view: the browser traps the focus, Escape closes, the focus goes back to where it was.

import { useLayoutEffect, useId, useRef, type ReactNode } from "react";
import { IconButton } from "../icons";

interface DialogProps {
  title: string;
  className: string;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, className, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Layout effects end before the element leaves the page: closing gives the focus back.
  useLayoutEffect(() => {
    const element = dialog.current!;
    element.showModal();
    return () => element.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`dialog large ${className}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className="dialog-content">
        <header className="dialog-header">
          <h2 id={heading}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}
