// ConnectTo.tsx - links without a mouse: lists of what fits, and nothing else.

import type { NodeInput, NodeOutput } from "../api";
import { makeLink, whyNot } from "../canvas/connect";
import { nodeType } from "../catalog";
import type { Doc, DocLink, DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDoc } from "../document/session";

interface Option {
  link: DocLink;
  label: string;
}

function sourcesFor(doc: Doc, node: DocNode, input: NodeInput): Option[] {
  return [...doc.nodes.values()].flatMap((other) => {
    const outputs = nodeType(other.type)?.outputs ?? [];
    return outputs.map((output, slot): Option => {
      const many = outputs.length > 1 ? ` · ${output.name}` : "";
      return { link: { source: other.id, slot, target: node.id, input: input.name }, label: nodeTitle(other) + many };
    });
  });
}

function targetsFor(doc: Doc, node: DocNode, slot: number): Option[] {
  return [...doc.nodes.values()].flatMap((other) =>
    (nodeType(other.type)?.inputs ?? []).map((input): Option => ({
      link: { source: node.id, slot, target: other.id, input: input.name },
      label: `${nodeTitle(other)} · ${input.name}`,
    })),
  );
}

/** A list that acts when something is chosen, and then shows its own name again. */
function Chooser({ label, options }: { label: string; options: Option[] }) {
  if (options.length === 0) return null;
  return (
    <select
      className="field connect-to"
      aria-label={label}
      title={label}
      value=""
      onChange={(event) => {
        const option = options[Number(event.target.value)];
        if (option) makeLink(option.link);
      }}
    >
      <option value="">Connect to…</option>
      {options.map((option, i) => (
        <option key={i} value={i}>
          {option.label}
        </option>
      ))}
    </select>
  );
}

const valid = (doc: Doc) => (option: Option) =>
  option.link.source !== option.link.target && whyNot(doc, option.link) === null;

export function ConnectFrom({ node, input }: { node: DocNode; input: NodeInput }) {
  const doc = useDoc();
  return <Chooser label={`Connect input ${input.name} to`} options={sourcesFor(doc, node, input).filter(valid(doc))} />;
}

export function ConnectInto({ node, output, slot }: { node: DocNode; output: NodeOutput; slot: number }) {
  const doc = useDoc();
  return (
    <Chooser label={`Connect output ${output.name} to`} options={targetsFor(doc, node, slot).filter(valid(doc))} />
  );
}
