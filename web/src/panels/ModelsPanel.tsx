// ModelsPanel.tsx - the model files the server finds, by kind, and a way to put one into the graph.

import { useEffect, useState } from "react";
import { api, ApiError, type ModelFile } from "../api";
import { addNode } from "../canvas/operations";
import { handPosition, toPlane } from "../canvas/viewport";
import { catalog, isForeign, isRefused } from "../catalog";
import { edit } from "../document/actions";
import { setInput } from "../document/edits";
import { IconButton } from "../icons";
import { bytes } from "../runs/format";

interface Kind {
  name: string;
  files: ModelFile[];
}

interface Found {
  kinds: readonly Kind[];
  roots: readonly string[];
  message?: string;
}

async function findModels(): Promise<Found> {
  const [names, { roots }] = await Promise.all([api.modelKinds(), api.info()]);
  const kinds = await Promise.all(names.map(async (name) => ({ name, files: await api.modelFiles(name) })));
  return { kinds: kinds.filter(({ files }) => files.length > 0), roots: roots.models };
}

/** The node that reads files of a kind, and its input for them; one of ours before another tool's. */
function loaderOf(kind: string): { type: string; input: string } | undefined {
  const types = [...catalog.get().types.values()].filter((type) => !isRefused(type));
  for (const type of types.sort((a, b) => Number(isForeign(a)) - Number(isForeign(b)))) {
    const input = type.inputs.find((each) => each.files === kind);
    if (input) return { type: type.name, input: input.name };
  }
  return undefined;
}

function addLoader(kind: string, file: string): void {
  const loader = loaderOf(kind);
  const { x, y } = toPlane(handPosition());
  const id = loader && addNode(loader.type, [Math.round(x), Math.round(y)]);
  if (loader && id) edit(setInput(id, loader.input, file));
}

/** What a file says of itself, asked for when it is unfolded. */
function Metadata({ kind, file }: { kind: string; file: string }) {
  const [text, setText] = useState("…");
  useEffect(() => {
    api.modelMetadata(kind, file).then(
      (found) => setText(JSON.stringify(found, null, 2)),
      () => setText("It says nothing of itself."),
    );
  }, [kind, file]);
  return <pre className="model-metadata">{text}</pre>;
}

function ModelRow({ kind, file }: { kind: string; file: ModelFile }) {
  const [open, setOpen] = useState(false);
  const { name, size } = file;
  const told = name.endsWith(".safetensors");
  return (
    <li className="model-row">
      <span className="model-name" title={name}>
        {name}
      </span>
      <span className="dim">{bytes(size)}</span>
      <span className="row-actions">
        {told && (
          <IconButton
            icon={open ? "chevronDown" : "chevronRight"}
            label={`What ${name} says of itself`}
            pressed={open}
            onClick={() => setOpen(!open)}
          />
        )}
        {loaderOf(kind) && (
          <IconButton icon="add" label={`Add ${name} to the graph`} onClick={() => addLoader(kind, name)} />
        )}
      </span>
      {open && <Metadata kind={kind} file={name} />}
    </li>
  );
}

export function ModelsPanel() {
  const [found, setFound] = useState<Found | null>(null);
  const load = () =>
    findModels().then(setFound, (reason: unknown) => {
      if (!(reason instanceof ApiError)) throw reason;
      setFound({ kinds: [], roots: [], message: reason.message });
    });
  useEffect(() => void load(), []);
  return (
    <section aria-label="Models">
      <header className="panel-heading">
        <h3>Models</h3>
        <button type="button" className="link-button" onClick={() => void load()}>
          Look again
        </button>
      </header>
      {found?.message && <p className="hint">{found.message}</p>}
      {found && <p className="hint">In folders by kind, as vae or loras, below {found.roots.join(" and ")}.</p>}
      {found?.kinds.map(({ name, files }) => (
        <section key={name} aria-label={name}>
          <h3 className="category">{name}</h3>
          <ul className="rows">
            {files.map((file) => (
              <ModelRow key={file.name} kind={name} file={file} />
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}
