import { memo, useMemo } from "react";
import { selectInner, selection } from "../canvas/selection";
import { Icon, type IconName } from "../icons";
import { duration } from "../runs/format";
import { useExpanded, useNodePlan } from "../runs/plan";
import { useNodeState, type NodeState } from "../runs/state";
import { useStore } from "../store";
import { cardsAcross, cardsOf, cardTitle, cardWidth, cell, cellX, cellY, type Card, type InnerNode } from "./steps";

const icons: Partial<Record<NodeState["state"], IconName>> = {
  queued: "clock",
  running: "running",
  cached: "cached",
  done: "check",
  error: "error",
  blocked: "cross",
};

/** A node of the expanded graph: its state live, and before a run what the plan says. */
const Inner = memo(function Inner({ node }: { node: InnerNode }) {
  const state = useNodeState(node.id);
  const plan = useNodePlan(node.id);
  const chosen = useStore(selection, (now) => now.inner === node.id);
  const idle = state.state === "idle" && plan !== null && plan.cached > 0 ? "cached" : state.state;
  const icon = icons[idle];
  const facts = state.ms !== undefined ? duration(state.ms / 1000) : idle === "cached" ? "cached" : "";
  return (
    <button
      type="button"
      className={`inner is-${idle} nodrag${chosen ? " selected" : ""}`}
      style={{ left: cellX(node.column), top: cellY(node.row), width: cell.width, height: cell.height }}
      aria-label={`${node.name}, ${node.type}${idle === "idle" ? "" : `, ${idle}`}${facts && idle !== "cached" ? `, ${facts}` : ""}`}
      aria-pressed={chosen}
      onClick={(event) => {
        event.stopPropagation();
        selectInner(node.id);
      }}
    >
      <span className="inner-name">{node.name}</span>
      <span className="inner-facts">
        {icon && <Icon name={icon} />}
        {facts || node.type.replaceAll("_", " ")}
      </span>
      {state.state === "running" && <progress max={1} value={state.share} aria-hidden="true" />}
    </button>
  );
});

function Links({ card }: { card: Card }) {
  const byId = new Map(card.nodes.map((node) => [node.id, node]));
  const paths = card.nodes.flatMap((node) =>
    node.sources.map((id) => {
      const source = byId.get(id)!;
      const [x1, y1] = [cellX(source.column) + cell.width, cellY(source.row) + cell.height / 2];
      const [x2, y2] = [cellX(node.column), cellY(node.row) + cell.height / 2];
      const bend = Math.max(10, (x2 - x1) / 2);
      return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    }),
  );
  return (
    <svg className="inner-links" aria-hidden="true">
      <path d={paths.join("")} />
    </svg>
  );
}

const CardView = memo(function CardView({ scope, card }: { scope: string; card: Card }) {
  const state = useNodeState(card.name ? `${scope}/${card.name}` : scope);
  return (
    <li className={card.name ? `card is-${state.state}` : "card"} aria-label={cardTitle(card.name)}>
      <header>
        {cardTitle(card.name)}
        {card.name && state.ms !== undefined && <span className="dim">{duration(state.ms / 1000)}</span>}
      </header>
      <div className="card-graph" style={{ width: cardWidth(card), height: cellY(card.rows) + cell.rowGap }}>
        <Links card={card} />
        {card.nodes.map((node) => (
          <Inner key={node.id} node={node} />
        ))}
      </div>
    </li>
  );
});

/** The inside of a composite, read only: its steps in reading order. */
export function ScopeSteps({ scope }: { scope: string }) {
  const expanded = useExpanded();
  const cards = useMemo(() => cardsOf(expanded, scope), [expanded, scope]);
  if (cards.length === 0) return <p className="hint">The plan has no steps of this node yet.</p>;
  return (
    <ol className="cards" style={{ gridTemplateColumns: `repeat(${cardsAcross(cards.length)}, max-content)` }}>
      {cards.map((card) => (
        <CardView key={card.name} scope={scope} card={card} />
      ))}
    </ol>
  );
}
