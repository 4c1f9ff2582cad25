// dialogs.ts - which dialog is open, and questions as promises.

import { createStore, useStore } from "../store";

export interface Choice {
  id: string;
  label: string;
  kind?: "primary" | "danger";
}

export interface Question {
  title: string;
  text: string;
  /** A line to type, with what it holds at first. */
  line?: { label: string; value: string };
  choices: Choice[];
}

export interface Answer {
  choice: string;
  line: string;
}

export type Dialog =
  | { kind: "open" }
  | { kind: "keys" }
  | { kind: "question"; question: Question; answer: (answer: Answer | null) => void };

const dialog = createStore<Dialog | null>(null);

export const useDialog = () => useStore(dialog, (now) => now);

export function showDialog(kind: "open" | "keys"): void {
  closeDialog();
  dialog.set({ kind });
}

/** null: closed without a choice. */
export function ask(question: Question): Promise<Answer | null> {
  closeDialog();
  return new Promise((resolve) => {
    dialog.set({
      kind: "question",
      question,
      answer: (answer) => {
        dialog.set(null);
        resolve(answer);
      },
    });
  });
}

export function closeDialog(): void {
  const open = dialog.get();
  if (open?.kind === "question") open.answer(null);
  else dialog.set(null);
}
