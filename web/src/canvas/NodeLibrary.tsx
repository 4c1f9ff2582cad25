import { useMemo, useState } from "react";
import type { NodeType } from "../api";
import { byCategory, catalog, typeTitle } from "../catalog";
import { useStore } from "../store";
import { dragType } from "./dragType";
import { findTypes } from "./fuzzy";
import { addNode } from "./operations";
import { PortMark } from "./PortMark";
import { handPosition, toPlane } from "./viewport";

function addInView(name: string): void {
  const { x, y } = toPlane(handPosition());
  addNode(name, [Math.round(x), Math.round(y)]);
}

function Entry({ type }: { type: NodeType }) {
  const title = typeTitle(type, type.name);
  return (
    <li>
      <button
        type="button"
        className="library-entry"
        draggable
        aria-label={`Add ${title}`}
        title={type.doc}
        onDragStart={(event) => {
          event.dataTransfer.setData(dragType, type.name);
          event.dataTransfer.effectAllowed = "copy";
        }}
        onClick={() => addInView(type.name)}
      >
        <span>{title}</span>
        <span className="ports" aria-hidden="true">
          {type.outputs.map((output, i) => (
            <PortMark key={i} type={output.type} />
          ))}
        </span>
      </button>
    </li>
  );
}

/** All node types: searched, by category, dragged to the canvas or added with a click. */
export function NodeLibrary() {
  const [query, setQuery] = useState("");
  const types = useStore(catalog, (now) => now.types);
  const groups = useMemo(
    () =>
      query.trim()
        ? ([["found", findTypes(types.values(), query)]] as [string, NodeType[]][])
        : byCategory(types.values()),
    [types, query],
  );
  return (
    <div className="library">
      <input
        className="field"
        type="search"
        aria-label="Search nodes"
        placeholder="Search nodes"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      {groups.map(([category, list]) => (
        <section key={category} aria-label={category}>
          <h3 className="category" data-category={category}>
            {category}
          </h3>
          <ul className="library-list">
            {list.map((type) => (
              <Entry key={type.name} type={type} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
