import type { NodeType } from "../api";
import { PortMark } from "../canvas/PortMark";
import { select } from "../canvas/selection";
import { focusNode } from "../canvas/viewport";
import { allLinks, type DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDoc } from "../document/session";
import { ConnectInto } from "./ConnectTo";
import { Section } from "./Section";

function Readers({ node, slot }: { node: DocNode; slot: number }) {
  const doc = useDoc();
  const links = [...allLinks(doc)].filter((link) => link.source === node.id && link.slot === slot);
  return links.map(({ target, input }) => (
    <button
      key={`${target} ${input}`}
      type="button"
      className="link-button"
      onClick={() => {
        select([target]);
        focusNode(target);
      }}
    >
      {nodeTitle(doc.nodes.get(target)!)} · {input}
    </button>
  ));
}

export function Outputs({ node, type }: { node: DocNode; type: NodeType }) {
  return (
    <Section title="Outputs">
      {type.outputs.map((output, slot) => (
        <div className="form-row" key={slot}>
          <span className="form-label">
            <PortMark type={output.type} /> {output.name}
          </span>
          <span className="form-field wrap">
            <Readers node={node} slot={slot} />
            <ConnectInto node={node} output={output} slot={slot} />
          </span>
          {output.doc && <small className="form-hint">{output.doc}</small>}
        </div>
      ))}
    </Section>
  );
}
