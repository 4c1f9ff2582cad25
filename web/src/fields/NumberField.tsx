import { useState, type KeyboardEvent } from "react";
import { IconButton } from "../icons";
import type { FieldProps } from "./Field";
import { limits, parseNumber, randomSeed, stepped } from "./value";

/** A number: typed, or stepped with the arrow keys (Shift: ten times). What is typed stays until it is a valid number. */
export function NumberField({ spec, value, label, onChange, onDone, disabled }: FieldProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const held = value ?? spec.default;
  const shown = draft ?? (held === undefined || held === null ? "" : String(held));
  const parsed = shown === "" ? null : parseNumber(shown, spec);
  const problem = parsed !== null && typeof parsed === "object" ? parsed.problem : undefined;

  const type = (text: string) => {
    setDraft(text);
    const number = parseNumber(text, spec);
    if (typeof number !== "object") onChange(number);
  };

  const step = (event: KeyboardEvent) => {
    const direction = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    if (direction === 0) return;
    event.preventDefault();
    setDraft(null);
    onChange(stepped(parsed === null || typeof parsed === "object" ? 0 : parsed, spec, direction, event.shiftKey));
  };

  return (
    <>
      <input
        className="field number-field nodrag"
        type="text"
        inputMode="decimal"
        role="spinbutton"
        aria-label={label}
        aria-valuenow={problem || parsed === null ? undefined : Number(parsed)}
        aria-valuetext={typeof parsed === "bigint" ? String(parsed) : undefined}
        aria-valuemin={spec.min === undefined ? undefined : Number(spec.min)}
        aria-valuemax={spec.max === undefined ? undefined : Number(spec.max)}
        aria-invalid={problem ? true : undefined}
        title={problem ?? limits(spec)}
        value={shown}
        disabled={disabled}
        onChange={(event) => type(event.target.value)}
        onKeyDown={step}
        onBlur={() => {
          setDraft(null);
          onDone?.();
        }}
      />
      {spec.seed && !disabled && (
        <IconButton icon="dice" label={`New ${label}`} onClick={() => onChange(randomSeed(spec))} />
      )}
    </>
  );
}
