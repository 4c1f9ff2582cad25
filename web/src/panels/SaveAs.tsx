// SaveAs.tsx - a stored video as a GIF or a contact sheet, made by the server.

import { useState } from "react";
import { api, ApiError, type OutputFile } from "../api";
import { Icon } from "../icons";
import { download } from "../page/download";
import { formsOf, type Form } from "./media";

interface Saying {
  text: string;
  kind: "busy" | "done" | "failed";
}

export function SaveAs({ file }: { file: OutputFile }) {
  const [saying, say] = useState<Saying>();
  const save = async ({ name, filename, url }: Form) => {
    say({ text: `Making the ${name}\u2026`, kind: "busy" });
    try {
      download(filename, await api.picture(url));
      say({ text: `Saved ${filename}.`, kind: "done" });
    } catch (reason) {
      if (!(reason instanceof ApiError)) throw reason;
      say({ text: `There is no ${name}: ${reason.message}`, kind: "failed" });
    }
  };
  return (
    <>
      {formsOf(file).map((form) => (
        <button
          key={form.name}
          type="button"
          className="button"
          disabled={saying?.kind === "busy"}
          onClick={() => void save(form)}
        >
          <Icon name="download" /> Save as {form.name}
        </button>
      ))}
      <p className="viewer-facts" role={saying?.kind === "failed" ? "alert" : "status"}>
        {saying?.text}
      </p>
    </>
  );
}
