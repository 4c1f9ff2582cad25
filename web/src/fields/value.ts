// value.ts - what a field holds: checked, with the reason when it is not valid.

import type { Json } from "../api";
import { exact } from "../json";

/** What a field is made from: an input of a node type, or a parameter of a Lua graph. */
export interface FieldSpec {
  name: string;
  /** INT, FLOAT, STRING, BOOLEAN, COMBO; parameters: int, float, string, boolean, path, choice. */
  type: string;
  default?: Json;
  min?: number | bigint;
  max?: number | bigint;
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

/** What the server takes for a whole number; for a seed twice as much, as ComfyUI does. */
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const highest = ({ max, seed }: Pick<FieldSpec, "max" | "seed">) => max ?? (seed ? 2n ** 64n - 1n : int64.max);

/** The number a text stands for, or why it is none. A whole one is exact, whatever its size. */
export function parseNumber(text: string, spec: FieldSpec): number | bigint | { problem: string } {
  const written = text.trim().replace(",", ".");
  const value = /^[-+]?\d+$/.test(written) ? exact(BigInt(written.replace("+", ""))) : Number(written);
  const whole = fieldKind(spec) === "integer";
  const isNumber = written !== "" && (typeof value === "bigint" || Number.isFinite(value));
  if (!isNumber) return { problem: `${spec.name} is a number` };
  if (!whole) return limited(Number(value), spec);
  if (typeof value === "number" && !Number.isInteger(value)) return { problem: `${spec.name} is a whole number` };
  return limited(value, { ...spec, min: spec.min ?? int64.min, max: highest(spec) });
}

function limited<T extends number | bigint>(value: T, spec: FieldSpec): T | { problem: string } {
  const low = spec.min !== undefined && value < spec.min;
  const high = spec.max !== undefined && value > spec.max;
  return low || high ? { problem: `${spec.name} is ${limits({ ...spec, unit: undefined })}` } : value;
}

/** A whole number so much higher or lower, within the limits. */
export function wholeStep(
  value: number | bigint,
  by: number,
  bounds: Pick<FieldSpec, "min" | "max" | "seed">,
): number | bigint {
  const next = BigInt(value) + BigInt(by);
  const [low, high] = [BigInt(bounds.min ?? int64.min), BigInt(highest(bounds))];
  return exact(next < low ? low : next > high ? high : next);
}

/** A step of the arrow keys. */
export function stepped(value: number | bigint, spec: FieldSpec, direction: 1 | -1, large: boolean): number | bigint {
  const times = direction * (large ? 10 : 1);
  if (fieldKind(spec) === "integer") return wholeStep(value, times, spec);
  const now = Number(value);
  const rounded = Math.round((now + times * (Math.abs(now) < 1 ? 0.05 : 0.1)) * 1e6) / 1e6;
  return Math.min(Number(spec.max ?? Infinity), Math.max(Number(spec.min ?? -Infinity), rounded));
}

/** 53 bits: what every tool that reads JSON keeps. */
export function randomSeed(spec: FieldSpec): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  const value = (high! & 0xfffff) * 2 ** 32 + low!;
  const min = Number(spec.min ?? 0);
  const max = Math.min(Number(spec.max ?? Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  return min + (value % (max - min + 1));
}
