// keys.ts - from key presses to commands.

import type { Command } from "../commands";
import { commandOfKey, keysOf } from "./bindings";

const isMac = navigator.platform.startsWith("Mac");
const signs: Record<string, string> = { Mod: isMac ? "⌘" : "Ctrl", ArrowLeft: "←", ArrowRight: "→", Delete: "Del" };

/** "Ctrl+Shift+Enter" */
export const keyName = (key: string) =>
  key === "+"
    ? key
    : key
        .split("+")
        .map((part) => signs[part] ?? part)
        .join("+");

export function keyOf(command: Command): string | undefined {
  const [key] = keysOf(command);
  return key && keyName(key);
}

/** With Alt, some keyboards write another character: what stands on the key is meant. */
function unalted({ key, code }: { key: string; code: string }): string {
  if (code === "Equal") return "=";
  if (code === "Minus") return "-";
  return code.startsWith("Key") ? code.slice(3) : key;
}

type Press = Pick<KeyboardEvent, "key" | "code" | "altKey" | "ctrlKey" | "metaKey" | "shiftKey">;

/** A press as the table writes it; Shift is left out where it makes the character, as in "?". */
export function pressed(event: Press): string {
  const mod = isMac ? event.metaKey : event.ctrlKey;
  const letter = /^[a-z]$/i.test(event.key);
  const named = event.key.length > 1;
  const parts = [mod && "Mod", event.altKey && "Alt", event.shiftKey && (letter || named || mod) && "Shift"];
  const key = event.altKey ? unalted(event) : letter ? event.key.toUpperCase() : event.key;
  return [...parts.filter(Boolean), key].join("+");
}

function isField(element: Element | null): boolean {
  return (
    element instanceof HTMLElement && element.matches("input:not([type=checkbox]), textarea, select, [contenteditable]")
  );
}

/** The canvas has the focus, or nothing has it. */
function onCanvas(element: Element | null): boolean {
  return !element || element === document.body || element.closest(".canvas") !== null;
}

function acts(command: Command, focus: Element | null): boolean {
  if (command.where === "everywhere") return true;
  if (isField(focus) || document.querySelector("dialog[open], .popup")) return false;
  return command.where === "page" || onCanvas(focus);
}

/** A selection of text on the page is what Ctrl+C means. */
const hasSelectedText = () => !getSelection()?.isCollapsed;

/** Keys that press the button they are on. */
const presses = (event: KeyboardEvent) =>
  (event.key === "Enter" || event.key === " ") &&
  !event.ctrlKey &&
  !event.metaKey &&
  event.target instanceof HTMLButtonElement;

/** Before React Flow, which takes the arrow keys with Ctrl, too. */
export function watchKeys(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (document.activeElement?.matches("[data-takes-keys]")) return;
    const command = commandOfKey(pressed(event));
    if (!command || event.defaultPrevented || event.isComposing || presses(event)) return;
    if (!acts(command, document.activeElement)) return;
    if (command.id === "copy" && hasSelectedText()) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || command.group !== "Run") command.run();
  };
  addEventListener("keydown", onKey, true);
  return () => removeEventListener("keydown", onKey, true);
}
