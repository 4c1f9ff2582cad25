import type { Json, Param } from "../api";
import { isSeed } from "../catalog";
import { build } from "../document/files";
import { nodeCount } from "../document/names";
import { allLinks } from "../document/model";
import { useDoc, useOrigin } from "../document/session";
import { Field } from "../fields/Field";
import { limits, type FieldSpec } from "../fields/value";
import { Fact, Section } from "./Section";
import { useDelayed } from "./useDelayed";

/** A prompt is worth more than a line; a path that has to be named is that of a file to read. */
function specOf(param: Param): FieldSpec {
  const long = param.type === "STRING" && !param.path && typeof param.default === "string" && param.default.length > 24;
  const upload = Boolean(param.path) && !param.optional && param.default === undefined;
  return { ...param, multiline: long, upload, seed: isSeed(param) };
}

/** An optional text that is empty is not there. */
const given = (param: Param, value: Json) => (value === "" && param.optional ? null : value);

function ParamRow({
  param,
  value,
  onChange,
}: {
  param: Param;
  value: Json | undefined;
  onChange: (value: Json) => void;
}) {
  const spec = specOf(param);
  const hint = [param.doc, limits(spec)].filter(Boolean).join(" ");
  return (
    <div className={spec.multiline ? "form-row tall" : "form-row"}>
      <span className="form-label">
        {param.name}
        {param.required && <abbr title="needed"> *</abbr>}
      </span>
      <span className="form-field">
        <Field spec={spec} value={value} label={`parameter ${param.name}`} onChange={onChange} />
      </span>
      {hint && <small className="form-hint">{hint}</small>}
    </div>
  );
}

/** The parameters of a Lua graph. A change builds the graph anew; edits made by hand stay. */
function ParamsForm({ params }: { params: readonly Param[] }) {
  const { values } = useOrigin();
  const [held, change] = useDelayed(values, (next) => void build(next));
  return (
    <Section title="Parameters">
      {params.map((param) => (
        <ParamRow
          key={param.name}
          param={param}
          value={held[param.name]}
          onChange={(value) => change({ ...held, [param.name]: given(param, value) })}
        />
      ))}
    </Section>
  );
}

export function GraphInspector() {
  const { name, path, doc: sentence, params } = useOrigin();
  const doc = useDoc();
  return (
    <div className="inspector">
      <header className="inspector-header">
        <h2>{name}</h2>
        {sentence && <p>{sentence}</p>}
      </header>
      {params.length > 0 && <ParamsForm params={params} />}
      <Section title="Graph">
        <dl>
          {path && <Fact name="File">{path}</Fact>}
          <Fact name="Nodes">{nodeCount(doc.nodes.size)}</Fact>
          <Fact name="Links">{[...allLinks(doc)].length}</Fact>
          {doc.targets && <Fact name="Makes">{doc.targets.join(", ")}</Fact>}
        </dl>
      </Section>
    </div>
  );
}
