import { useEffect, useRef, useState } from "react";
import { api, type GraphFile } from "../api";
import { newDocument } from "../document/actions";
import { openExample, openFile, openPath } from "../document/files";
import { age, bytes } from "../runs/format";
import { closeDialog } from "./dialogs";
import { Modal } from "./DialogLayer";
import { GraphRow } from "./GraphRow";

export function OpenDialog() {
  const [graphs, setGraphs] = useState<GraphFile[] | null>(null);
  const [examples, setExamples] = useState<{ name: string; source: string }[]>([]);
  const [problem, setProblem] = useState("");
  const chooser = useRef<HTMLInputElement>(null);

  useEffect(() => {
    Promise.all([api.graphs(), api.examples()]).then(
      ([there, shipped]) => {
        const paths = new Set(there.graphs.map(({ path }) => path));
        setGraphs(there.graphs);
        setExamples(shipped.examples.filter(({ name }) => !paths.has(name)));
      },
      (reason: Error) => setProblem(reason.message),
    );
  }, []);

  return (
    <Modal title="Open">
      {problem && <p role="alert">{problem}</p>}
      {graphs?.length === 0 && <p className="hint">There is no graph in the graphs folder yet.</p>}
      <ul className="file-list" aria-label="Graphs">
        {graphs?.map(({ path, bytes: size, modified_ms }, i) => (
          <GraphRow
            key={path}
            name={path}
            version={String(modified_ms)}
            facts={`${bytes(size)}, ${age(modified_ms)}`}
            read={() => api.graph(path)}
            onOpen={() => {
              closeDialog();
              void openPath(path);
            }}
            autoFocus={i === 0}
          />
        ))}
      </ul>
      {examples.length > 0 && (
        <ul className="file-list" aria-label="Examples">
          {examples.map(({ name, source }) => (
            <GraphRow
              key={name}
              name={name}
              version="example"
              facts="example"
              read={() => api.open(new File([source], name), name)}
              onOpen={() => {
                closeDialog();
                void openExample(name);
              }}
            />
          ))}
        </ul>
      )}
      <footer className="dialog-footer">
        <button type="button" className="button primary" onClick={() => chooser.current?.click()}>
          From this computer…
        </button>
        <button
          type="button"
          className="button"
          onClick={() => {
            closeDialog();
            newDocument();
          }}
        >
          New graph
        </button>
        <input
          ref={chooser}
          type="file"
          hidden
          aria-label="File to open"
          onChange={(event) => {
            const file = event.target.files?.[0];
            closeDialog();
            if (file) void openFile(file);
          }}
        />
      </footer>
      <p className="dim">Lua, API or workflow JSON, or a video or picture that carries its graph.</p>
    </Modal>
  );
}
