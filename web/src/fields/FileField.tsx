import { useRef } from "react";
import { uploadInput } from "../api";
import { IconButton } from "../icons";
import { announceError } from "../page/announce";
import { log } from "../runs/log";
import { LineField } from "./basic";
import type { FieldProps } from "./Field";

/** A path below the input folder, or one that is put there now. */
export function FileField(props: FieldProps) {
  const chooser = useRef<HTMLInputElement>(null);

  const upload = async (file: File | undefined) => {
    if (!file) return;
    try {
      const { name, subfolder } = await uploadInput(file);
      props.onChange(subfolder ? `${subfolder}/${name}` : name);
    } catch (reason) {
      const text = `${file.name} was not uploaded: ${(reason as Error).message}`;
      log("error", text);
      announceError(text);
    }
  };

  return (
    <>
      <LineField {...props} />
      <IconButton
        icon="upload"
        label={`Upload a file for ${props.label}`}
        disabled={props.disabled}
        onClick={() => chooser.current?.click()}
      />
      <input
        ref={chooser}
        type="file"
        hidden
        aria-label={`File for ${props.label}`}
        onChange={(event) => {
          void upload(event.target.files?.[0]);
          event.target.value = "";
        }}
      />
    </>
  );
}
