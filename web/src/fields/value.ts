// value.ts - what a field holds: checked, with the reason when it is not valid.

import type { Json } from "../api";

/** What a field is made from: an input of a node type, or a parameter of a Lua graph. */
export interface FieldSpec {
  name: string;
  /** INT, FLOAT, STRING, BOOLEAN, COMBO; parameters: int, float, string, boolean, path, choice. */
  type: string;
  default?: Json;
  min?: number;
  max?: number;
  choices?: readonly string[];
  unit?: string;
  doc?: string;
  multiline?: boolean;
  file?: boolean;
  upload?: boolean;
  seed?: boolean;
}

export type FieldKind = "integer" | "number" | "choice" | "boolean" | "file" | "text" | "line";

export function fieldKind(spec: FieldSpec): FieldKind {
  if (spec.choices) return "choice";
  switch (spec.type.toUpperCase()) {
    case "INT":
    case "INTEGER":
      return "integer";
    case "FLOAT":
    case "NUMBER":
      return "number";
    case "BOOLEAN":
      return "boolean";
    default:
      if (spec.file || spec.upload) return "file";
      return spec.multiline ? "text" : "line";
  }
}

/** "1 to 1000 pixels", or "" without limits. */
export function limits({ min, max, unit }: FieldSpec): string {
  const range =
    min !== undefined && max !== undefined
      ? `${min} to ${max}`
      : min !== undefined
        ? `at least ${min}`
        : max !== undefined
          ? `at most ${max}`
          : "";
  return [range, unit ?? ""].filter(Boolean).join(" ");
}

/** The number a text stands for, or why it is none. */
export function parseNumber(text: string, spec: FieldSpec): number | { problem: string } {
  const value = Number(text.trim().replace(",", "."));
  if (text.trim() === "" || !Number.isFinite(value)) return { problem: `${spec.name} is a number` };
  if (fieldKind(spec) === "integer" && !Number.isInteger(value)) return { problem: `${spec.name} is a whole number` };
  const low = spec.min !== undefined && value < spec.min;
  const high = spec.max !== undefined && value > spec.max;
  if (low || high) return { problem: `${spec.name} is ${limits({ ...spec, unit: undefined })}` };
  return value;
}

/** A step of the arrow keys. */
export function stepped(value: number, spec: FieldSpec, direction: 1 | -1, large: boolean): number {
  const step = fieldKind(spec) === "integer" ? 1 : Math.abs(value) < 1 ? 0.05 : 0.1;
  const next = value + direction * step * (large ? 10 : 1);
  const rounded = Math.round(next * 1e6) / 1e6;
  return Math.min(spec.max ?? Infinity, Math.max(spec.min ?? -Infinity, rounded));
}

/** 53 bits: what a number in JSON keeps. */
export function randomSeed(spec: FieldSpec): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  const value = (high! & 0xfffff) * 2 ** 32 + low!;
  const min = spec.min ?? 0;
  const max = Math.min(spec.max ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return min + (value % (max - min + 1));
}
