import { useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { IconButton } from "../icons";
import { closeDialog, useDialog, type Answer, type Question } from "./dialogs";
import { KeysDialog } from "./KeysDialog";
import { OpenDialog } from "./OpenDialog";

/** The browser's modal dialog: it traps focus, gives it back, and Escape closes it. */
export function Modal({ title, children }: { title: string; children: ReactNode }) {
  const element = useRef<HTMLDialogElement>(null);
  // Layout effects end before the element leaves the page: closing gives the focus back.
  useLayoutEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("input:not([hidden]), .dialog-footer .button")?.focus();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      className="dialog"
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        closeDialog();
      }}
      onClick={(event) => event.target === element.current && closeDialog()}
    >
      <div className="dialog-content">
        <header className="dialog-header">
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onClick={closeDialog} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

function QuestionDialog({ question, answer }: { question: Question; answer: (answer: Answer | null) => void }) {
  const [line, setLine] = useState(question.line?.value ?? "");
  const first = question.choices[0]!;
  return (
    <Modal title={question.title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          answer({ choice: first.id, line });
        }}
      >
        <p>{question.text}</p>
        {question.line && (
          <label className="labelled">
            {question.line.label}
            <input className="field" value={line} onChange={(event) => setLine(event.target.value)} />
          </label>
        )}
        <footer className="dialog-footer">
          {question.choices.map((choice, i) => (
            <button
              key={choice.id}
              type={i === 0 ? "submit" : "button"}
              className={`button ${choice.kind ?? ""}`}
              onClick={i === 0 ? undefined : () => answer({ choice: choice.id, line })}
            >
              {choice.label}
            </button>
          ))}
          <button type="button" className="button" onClick={() => answer(null)}>
            Cancel
          </button>
        </footer>
      </form>
    </Modal>
  );
}

export function DialogLayer() {
  const dialog = useDialog();
  switch (dialog?.kind) {
    case "open":
      return <OpenDialog />;
    case "keys":
      return <KeysDialog />;
    case "question":
      return <QuestionDialog question={dialog.question} answer={dialog.answer} />;
    default:
      return null;
  }
}
