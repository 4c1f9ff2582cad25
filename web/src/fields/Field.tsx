import type { Json } from "../api";
import { ChoiceField, LineField, TextField, ToggleField } from "./basic";
import { FileField } from "./FileField";
import { NumberField } from "./NumberField";
import { fieldKind, type FieldSpec } from "./value";

export interface FieldProps {
  spec: FieldSpec;
  /** undefined: the default holds. */
  value: Json | undefined;
  /** Spoken name. */
  label: string;
  onChange: (value: Json) => void;
  /** The change is complete: the field was left. */
  onDone?: () => void;
  disabled?: boolean;
}

const editors = {
  integer: NumberField,
  number: NumberField,
  choice: ChoiceField,
  boolean: ToggleField,
  file: FileField,
  text: TextField,
  line: LineField,
};

/** The control that fits a value. `nodrag`, `nowheel`: the canvas leaves what happens in it alone. */
export function Field(props: FieldProps) {
  const Editor = editors[fieldKind(props.spec)];
  return <Editor {...props} />;
}
