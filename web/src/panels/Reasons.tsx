// Reasons.tsx - of every node of the open graph: is it stored, and if not, why does it run?

import { select } from "../canvas/selection";
import { allLinks, linksOf, type DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDoc } from "../document/session";
import { Icon, type IconName } from "../icons";
import { duration } from "../runs/format";
import { usePlan, usePlannedNodes, type NodePlan } from "../runs/plan";

interface Reason {
  icon: IconName;
  text: string;
}

/** A node of which something has to be computed. */
const runs = (plan: NodePlan | undefined) => plan !== undefined && plan.run + plan.unknown > 0;

/** Making it anew is quicker than reading it, so that it is never stored: no reason for others to run. */
const isCheap = (plan: NodePlan | undefined) => plan !== undefined && !plan.incomplete && plan.seconds < 0.005;

interface Whole {
  plans: ReadonlyMap<string, NodePlan>;
  /** Ids of nodes that others link to. */
  read: ReadonlySet<string>;
  titleOf: (id: string) => string;
}

function reasonOf(node: DocNode, { plans, read, titleOf }: Whole): Reason {
  const plan = plans.get(node.id);
  if (!plan) return { icon: "check", text: `not needed: ${read.has(node.id) ? "what follows is stored" : "nothing reads it"}` };
  if (!runs(plan)) return { icon: "cached", text: "stored" };
  const time = plan.incomplete ? "" : `, ${duration(plan.seconds)}`;
  if (plan.cached > 0) {
    return { icon: "clock", text: `${plan.cached} of ${plan.cached + plan.run} inner nodes stored${time}` };
  }
  if (plan.run > 0 && isCheap(plan)) return { icon: "clock", text: "runs: too quick to be worth storing" };
  const sources = [...linksOf(node)].map((link) => link.source);
  const culprit = sources.find((id) => runs(plans.get(id)) && !isCheap(plans.get(id)));
  if (culprit) return { icon: "clock", text: `runs, as ${titleOf(culprit)} does${time}` };
  if (plan.run === 0) return { icon: "clock", text: "known only during the run" };
  return { icon: "clock", text: `runs: not stored with these settings${time}` };
}

export function Reasons() {
  const doc = useDoc();
  const plans = usePlannedNodes();
  const { state } = usePlan();
  if (doc.nodes.size === 0) return null;
  const read = new Set([...allLinks(doc)].map((link) => link.source));
  const titleOf = (id: string) => {
    const node = doc.nodes.get(id);
    return node ? nodeTitle(node) : id;
  };
  return (
    <details className="reasons">
      <summary>Why nodes run, or do not</summary>
      {state === "errors" || state === "failed" ? (
        <p className="hint">The graph has errors: there is no plan.</p>
      ) : (
        <ul className="rows">
          {[...doc.nodes.values()].map((node) => {
            const { icon, text } = reasonOf(node, { plans, read, titleOf });
            return (
              <li key={node.id} className="reason-row">
                <Icon name={icon} />
                <button type="button" className="link-button" onClick={() => select([node.id])}>
                  {nodeTitle(node)}
                </button>
                <span className="run-facts">{text}</span>
              </li>
            );
          })}
        </ul>
      )}
    </details>
  );
}
