import { commandById } from "../commands";
import { nodeCount, nodeTitle } from "../document/names";
import { useDoc } from "../document/session";
import { select } from "../canvas/selection";
import { keyOf } from "../page/keys";
import { Section } from "./Section";

const offered = [
  "group",
  "arrange",
  "align-left",
  "align-top",
  "mute",
  "bypass",
  "collapse",
  "copy",
  "duplicate",
  "delete",
];

export function ManyInspector({ ids }: { ids: readonly string[] }) {
  const doc = useDoc();
  return (
    <div className="inspector">
      <header className="inspector-header">
        <h2>{nodeCount(ids.length)} selected</h2>
      </header>
      <Section title="Together">
        <div className="toggles">
          {offered.map(commandById).map((command) => (
            <button
              key={command.id}
              type="button"
              className="button small"
              title={keyOf(command)}
              onClick={command.run}
            >
              {command.label}
            </button>
          ))}
        </div>
      </Section>
      <Section title="Nodes">
        <ul className="plain-list">
          {ids.map((id) => (
            <li key={id}>
              <button type="button" className="link-button" onClick={() => select([id])}>
                {nodeTitle(doc.nodes.get(id)!)}
              </button>
            </li>
          ))}
        </ul>
      </Section>
    </div>
  );
}
