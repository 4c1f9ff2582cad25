// basic.tsx - fields whose every value is valid: texts, choices, switches.

import type { FieldProps } from "./Field";
import { useDraft } from "./useDraft";

const asText = (value: unknown) => (value === undefined || value === null ? "" : String(value));

export function LineField({ spec, value, label, onChange, onDone, disabled }: FieldProps) {
  const [text, type, leave] = useDraft(asText(value ?? spec.default), onChange);
  return (
    <input
      className="field nodrag"
      type="text"
      aria-label={label}
      value={text}
      disabled={disabled}
      spellCheck={false}
      onChange={(event) => type(event.target.value)}
      onBlur={() => {
        leave();
        onDone?.();
      }}
    />
  );
}

export function TextField({ spec, value, label, onChange, onDone, disabled }: FieldProps) {
  const [text, type, leave] = useDraft(asText(value ?? spec.default), onChange);
  return (
    <textarea
      className="field text-field nodrag nowheel"
      aria-label={label}
      value={text}
      disabled={disabled}
      rows={3}
      onChange={(event) => type(event.target.value)}
      onBlur={() => {
        leave();
        onDone?.();
      }}
    />
  );
}

export function ChoiceField({ spec, value, label, onChange, disabled }: FieldProps) {
  const current = asText(value ?? spec.default);
  const choices = spec.choices ?? [];
  return (
    <select
      className="field nodrag"
      aria-label={label}
      value={current}
      disabled={disabled}
      aria-invalid={!choices.includes(current)}
      onChange={(event) => onChange(event.target.value)}
    >
      {!choices.includes(current) && <option value={current}>{current || "choose"}</option>}
      {choices.map((choice) => (
        <option key={choice}>{choice}</option>
      ))}
    </select>
  );
}

export function ToggleField({ spec, value, label, onChange, disabled }: FieldProps) {
  return (
    <input
      className="toggle nodrag"
      type="checkbox"
      role="switch"
      aria-label={label}
      checked={Boolean(value ?? spec.default)}
      disabled={disabled}
      onChange={(event) => onChange(event.target.checked)}
    />
  );
}
