import { isLink } from "../api";
import { select, selectInner } from "../canvas/selection";
import { typeTitle, useNodeType } from "../catalog";
import { currentDoc } from "../document/session";
import { writeJson } from "../json";
import { displayOf, useExpanded } from "../runs/plan";
import { Fact, Section } from "./Section";
import { NodeStatus } from "./NodeStatus";

/** A node inside a composite: it can be looked at, not changed. */
export function InnerInspector({ id }: { id: string }) {
  const node = useExpanded()[id];
  const type = useNodeType(node?.class_type ?? "");
  const outer = displayOf(id);
  const go = (source: string) => (currentDoc().nodes.has(source) ? select([source]) : selectInner(source));
  return (
    <div className="inspector">
      <header className="inspector-header">
        <h2>{id.slice(outer.length + 1) || id}</h2>
        <p className="dim">
          {typeTitle(type, node?.class_type ?? "")} inside{" "}
          <button type="button" className="link-button" onClick={() => select([outer])}>
            {outer}
          </button>
        </p>
        {type?.doc && <p>{type.doc}</p>}
      </header>
      <NodeStatus id={id} />
      {node && (
        <Section title="Inputs">
          <dl>
            {Object.entries(node.inputs).map(([name, value]) => (
              <Fact key={name} name={name}>
                {isLink(value) ? (
                  <button type="button" className="link-button" onClick={() => go(value[0])}>
                    {value[0]}
                  </button>
                ) : (
                  <code>{writeJson(value)}</code>
                )}
              </Fact>
            ))}
          </dl>
        </Section>
      )}
    </div>
  );
}
