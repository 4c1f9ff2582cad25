import { isLink, type NodeInput } from "../api";
import { dropLink } from "../canvas/connect";
import { problemOf } from "../canvas/NodeBody";
import { PortMark } from "../canvas/PortMark";
import { select } from "../canvas/selection";
import { focusNode } from "../canvas/viewport";
import { edit, endGesture } from "../document/actions";
import { setInput } from "../document/edits";
import type { DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDocNode } from "../document/session";
import { Field } from "../fields/Field";
import { fieldKind, limits } from "../fields/value";
import { IconButton } from "../icons";
import { isScalar, portName } from "../ports";
import { ConnectFrom } from "./ConnectTo";
import { Section } from "./Section";
import { SeedControl } from "./SeedControl";

/** The node that feeds an input: a way to it, and a way to let go of it. */
function Feeder({ node, input }: { node: DocNode; input: NodeInput }) {
  const value = node.inputs[input.name];
  const source = useDocNode(isLink(value) ? value[0] : "");
  if (!isLink(value)) return null;
  const id = value[0];
  return (
    <>
      <button
        type="button"
        className="link-button"
        onClick={() => {
          select([id]);
          focusNode(id);
        }}
      >
        {source ? nodeTitle(source) : id}
      </button>
      <IconButton
        icon="close"
        label={`Disconnect ${input.name}`}
        onClick={() => dropLink({ target: node.id, input: input.name })}
      />
    </>
  );
}

function Row({ node, input }: { node: DocNode; input: NodeInput }) {
  const value = node.inputs[input.name];
  const linked = isLink(value);
  const field = isScalar(input.type) && !linked;
  const problem = problemOf(node, input);
  const hint = [problem, input.doc, limits(input)].filter(Boolean).join(" ");
  const label = `parameter ${input.name}`;
  return (
    <div className={field && fieldKind(input) === "text" ? "form-row tall" : "form-row"}>
      <span className="form-label">
        <PortMark type={input.type} /> {input.name}
      </span>
      <span className="form-field">
        {linked && <Feeder node={node} input={input} />}
        {field && (
          <Field
            spec={input}
            value={value}
            label={label}
            onChange={(next) => edit(setInput(node.id, input.name, next), `${node.id} ${input.name}`)}
            onDone={endGesture}
          />
        )}
        {field && value !== undefined && input.default !== undefined && value !== input.default && (
          <IconButton
            icon="again"
            label={`Default of ${input.name}`}
            onClick={() => edit(setInput(node.id, input.name, undefined))}
          />
        )}
        <ConnectFrom node={node} input={input} />
      </span>
      {input.seed && field && <SeedControl node={node} input={input} />}
      {hint && <small className={problem ? "form-hint problem" : "form-hint"}>{hint}</small>}
      {!field && !linked && <span className="spoken">{portName(input.type)}</span>}
    </div>
  );
}

export function Inputs({ title, node, inputs }: { title: string; node: DocNode; inputs: readonly NodeInput[] }) {
  return (
    <Section title={title}>
      {inputs.map((input) => (
        <Row key={input.name} node={node} input={input} />
      ))}
    </Section>
  );
}
