import { useSelection } from "../canvas/selection";
import { useDoc } from "../document/session";
import { documentIds } from "../document/scopes";
import { GraphInspector } from "./GraphInspector";
import { InnerInspector } from "./InnerInspector";
import { ManyInspector } from "./ManyInspector";
import { NodeInspector } from "./NodeInspector";

/** What is selected, in full; the graph itself when nothing is. */
export function Inspector() {
  const { nodes, inner } = useSelection();
  const doc = useDoc();
  if (inner) return <InnerInspector id={inner} />;
  const ids = documentIds(doc, nodes);
  const only = ids.length === 1 ? doc.nodes.get(ids[0]!) : undefined;
  if (only) return <NodeInspector key={only.id} node={only} />;
  if (ids.length > 1) return <ManyInspector ids={ids} />;
  return <GraphInspector />;
}
