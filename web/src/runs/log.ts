// log.ts - lines for the log panel, newest last, the oldest forgotten.

import { createStore, useStore } from "../store";

export type LogLevel = "debug" | "info" | "warning" | "error";

export interface LogLine {
  /** Rises by one; a key for lists. */
  number: number;
  timeMs: number;
  level: LogLevel;
  text: string;
  /** The document's node it is about. */
  node?: string;
}

const kept = 500;
const lines = createStore<LogLine[]>([]);
let written = 0;

export function log(level: LogLevel, text: string, more: { timeMs?: number; node?: string } = {}): void {
  const line = { number: ++written, timeMs: more.timeMs ?? Date.now(), level, text, node: more.node };
  lines.set([...lines.get().slice(1 - kept), line]);
}

export function clearLog(): void {
  lines.set([]);
}

export function useLog(): LogLine[] {
  return useStore(lines, (now) => now);
}

const words: Record<string, LogLevel> = { debug: "debug", warn: "warning", warning: "warning", error: "error" };

export function logLevel(word: string): LogLevel {
  return words[word.toLowerCase()] ?? "info";
}
