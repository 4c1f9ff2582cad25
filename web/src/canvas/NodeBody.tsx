import { memo, type ReactNode } from "react";
import { isLink, type NodeInput, type NodeType } from "../api";
import { isNeeded } from "../catalog";
import { edit, endGesture } from "../document/actions";
import { setInput } from "../document/edits";
import { isText, shownFields, splitInputs } from "../document/geometry";
import { allLinks, type DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDoc, useDocNode } from "../document/session";
import { Field } from "../fields/Field";
import { Socket } from "./Socket";

interface BodyProps {
  node: DocNode;
  type: NodeType | undefined;
  title: string;
  collapsed: boolean;
  /** Below the fields. */
  preview?: ReactNode;
  /** Beside the fields. */
  inside?: ReactNode;
}

/** Why an input is not valid, as far as the node alone can tell. */
export function problemOf(node: DocNode, input: NodeInput): string | undefined {
  if (node.inputs[input.name] !== undefined || !isNeeded(input)) return undefined;
  return `needs input ${input.name}`;
}

function InputSocket({ node, input, title }: { node: DocNode; input: NodeInput; title: string }) {
  return (
    <Socket
      side="input"
      id={input.name}
      name={input.name}
      type={input.type}
      owner={title}
      linked={isLink(node.inputs[input.name])}
      minor={"default" in input}
      problem={problemOf(node, input)}
    />
  );
}

/** In place of a field whose value comes through a link. */
function LinkedFrom({ source, slot }: { source: string; slot: number }) {
  const node = useDocNode(source);
  return <span className="linked-from">from {node ? nodeTitle(node) : `${source}, output ${slot}`}</span>;
}

function FieldRow({ node, input, title }: { node: DocNode; input: NodeInput; title: string }) {
  const value = node.inputs[input.name];
  const label = `${title} ${input.name}`;
  return (
    <div className={isText(input) ? "row field-row tall" : "row field-row"} title={input.doc}>
      <InputSocket node={node} input={input} title={title} />
      <span className="row-label">{input.name}</span>
      {isLink(value) ? (
        <LinkedFrom source={value[0]} slot={value[1]} />
      ) : (
        <Field
          spec={input}
          value={value}
          label={label}
          onChange={(next) => edit(setInput(node.id, input.name, next), label)}
          onDone={endGesture}
        />
      )}
    </div>
  );
}

/** Sockets without fields, inputs beside outputs. */
function SocketRows({ node, type, title }: { node: DocNode; type: NodeType; title: string }) {
  const { sockets } = splitInputs(type);
  const rows = Math.max(sockets.length, type.outputs.length);
  return Array.from({ length: rows }, (_, i) => {
    const input = sockets[i];
    const output = type.outputs[i];
    return (
      <div className="row" key={i}>
        {input && <InputSocket node={node} input={input} title={title} />}
        <span className="row-label" title={input?.doc}>
          {input?.name}
        </span>
        <span className="row-label output" title={output?.doc}>
          {output?.name}
        </span>
        {output && <Socket side="output" id={String(i)} name={output.name} type={output.type} owner={title} />}
      </div>
    );
  });
}

/** A collapsed node keeps its sockets, one on top of the other, for the links to end at. */
function CollapsedSockets({ node, type, title }: { node: DocNode; type: NodeType; title: string }) {
  const linked = type.inputs.filter((input) => isLink(node.inputs[input.name]));
  return (
    <div className="collapsed-sockets">
      {linked.map((input) => (
        <InputSocket key={input.name} node={node} input={input} title={title} />
      ))}
      {type.outputs.map((output, i) => (
        <Socket key={i} side="output" id={String(i)} name={output.name} type={output.type} owner={title} />
      ))}
    </div>
  );
}

/** Of a type that only the graph's script knows, or nobody: what the links need to end at. */
function UnknownSockets({ node, title }: { node: DocNode; title: string }) {
  const doc = useDoc();
  const inputs = Object.keys(node.inputs).filter((name) => isLink(node.inputs[name]));
  const slots = [...allLinks(doc)].filter((link) => link.source === node.id).map((link) => link.slot);
  const outputs = Array.from({ length: Math.max(0, ...slots.map((slot) => slot + 1)) }, (_, slot) => `output ${slot + 1}`);
  return (
    <div className="node-body">
      {Array.from({ length: Math.max(inputs.length, outputs.length) }, (_, i) => (
        <div className="row" key={i}>
          {inputs[i] && <Socket side="input" id={inputs[i]} name={inputs[i]} type="*" owner={title} linked />}
          <span className="row-label">{inputs[i]}</span>
          <span className="row-label output">{outputs[i]}</span>
          {outputs[i] && <Socket side="output" id={String(i)} name={outputs[i]} type="*" owner={title} />}
        </div>
      ))}
    </div>
  );
}

function Fields({ node, type, title }: { node: DocNode; type: NodeType; title: string }) {
  return shownFields(type, node).map((input) => <FieldRow key={input.name} node={node} input={input} title={title} />);
}

const MemoFields = memo(Fields);
const MemoSocketRows = memo(SocketRows);

export function NodeBody({ node, type, title, collapsed, preview, inside }: BodyProps) {
  if (!type) return <UnknownSockets node={node} title={title} />;
  if (collapsed) return <CollapsedSockets node={node} type={type} title={title} />;
  return (
    <div className="node-body">
      <MemoSocketRows node={node} type={type} title={title} />
      <div className="node-columns">
        <div className="node-fields">
          <MemoFields node={node} type={type} title={title} />
          {preview}
        </div>
        {inside}
      </div>
    </div>
  );
}
