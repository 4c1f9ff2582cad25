// LeftPanel.tsx - nodes to add, the queue, results, the store: one at a time.

import { useRef, type KeyboardEvent } from "react";
import { NodeLibrary } from "../canvas/NodeLibrary";
import { setUi, useUi, type LeftTab } from "../page/ui";
import { useQueue } from "../runs/state";
import { Gallery } from "./Gallery";
import { ModelsPanel } from "./ModelsPanel";
import { QueuePanel } from "./QueuePanel";
import { StorePanel } from "./StorePanel";

const tabs: { id: LeftTab; label: string }[] = [
  { id: "nodes", label: "Nodes" },
  { id: "queue", label: "Queue" },
  { id: "gallery", label: "Gallery" },
  { id: "store", label: "Store" },
  { id: "models", label: "Models" },
];

const keySteps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1 };

function Tabs({ chosen }: { chosen: LeftTab }) {
  const list = useRef<HTMLDivElement>(null);
  const waiting = useQueue().length;
  const onKeyDown = (event: KeyboardEvent) => {
    const step = keySteps[event.key];
    if (step === undefined) return;
    const next = (tabs.findIndex((tab) => tab.id === chosen) + step + tabs.length) % tabs.length;
    setUi({ left: tabs[next]!.id });
    (list.current?.children[next] as HTMLElement | undefined)?.focus();
    event.preventDefault();
  };
  return (
    <div ref={list} className="tabs" role="tablist" aria-label="Left panel" onKeyDown={onKeyDown}>
      {tabs.map(({ id, label }) => (
        <button
          key={id}
          type="button"
          role="tab"
          id={`tab-${id}`}
          aria-selected={id === chosen}
          aria-controls="left-panel"
          tabIndex={id === chosen ? 0 : -1}
          onClick={() => setUi({ left: id })}
        >
          {label}
          {id === "queue" && waiting > 0 && <span className="count">{waiting}</span>}
        </button>
      ))}
    </div>
  );
}

function Content({ tab }: { tab: LeftTab }) {
  switch (tab) {
    case "nodes":
      return <NodeLibrary />;
    case "queue":
      return <QueuePanel />;
    case "gallery":
      return <Gallery />;
    case "store":
      return <StorePanel />;
    case "models":
      return <ModelsPanel />;
  }
}

export function LeftPanel() {
  const { left } = useUi();
  if (left === null) return null;
  return (
    <>
      <Tabs chosen={left} />
      <div className="panel-content" id="left-panel" role="tabpanel" aria-labelledby={`tab-${left}`} data-tab={left}>
        <Content tab={left} />
      </div>
    </>
  );
}
