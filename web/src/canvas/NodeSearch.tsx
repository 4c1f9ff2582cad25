import type { XYPosition } from "@xyflow/react";
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { catalog, typeTitle } from "../catalog";
import type { Point } from "../document/model";
import { useStore } from "../store";
import { portName } from "../ports";
import { matches, type LooseEnd } from "./connect";
import { findTypes } from "./fuzzy";
import { addNode } from "./operations";
import { closePopup } from "./popups";
import { toPlane } from "./viewport";

const width = 320;
const height = 360;

/** On the page as a whole, whatever the pointer's place. */
const within = (at: XYPosition) => ({
  left: Math.max(8, Math.min(at.x, innerWidth - width - 8)),
  top: Math.max(8, Math.min(at.y, innerHeight - height - 8)),
});

/** A node is found by a few letters and put where the search was opened; fitting ones only, when a link waits. */
export function NodeSearch({ at, end, place }: { at: XYPosition; end?: LooseEnd; place?: Point }) {
  const [query, setQuery] = useState("");
  const [current, setCurrent] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const listId = useId();
  const types = useStore(catalog, (now) => now.types);
  const found = useMemo(() => {
    const fitting = end ? [...types.values()].filter((type) => matches(type, end).length > 0) : types.values();
    return findTypes(fitting, query);
  }, [types, query, end]);

  useEffect(() => setCurrent(0), [query]);
  useEffect(() => {
    list.current?.children[current]?.scrollIntoView({ block: "nearest" });
  }, [current]);

  const choose = (index: number) => {
    const type = found[index];
    if (!type) return;
    const { x, y } = toPlane(at);
    closePopup();
    addNode(type.name, place ?? [Math.round(x), Math.round(y)], end);
  };

  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) setCurrent((now) => (now + step + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") choose(current);
    else if (event.key === "Escape") closePopup();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const what = end ? `Nodes that ${"slot" in end ? "take" : "give"} ${portName(end.type)}` : "Nodes";
  return (
    <div className="popup search" style={within(at)} role="dialog" aria-label="Add a node">
      <input
        className="field"
        role="combobox"
        aria-label={what}
        aria-expanded="true"
        aria-controls={listId}
        aria-activedescendant={found[current] && `${listId}-${current}`}
        placeholder={what}
        value={query}
        autoFocus
        spellCheck={false}
        onChange={(event) => setQuery(event.target.value)}
        onKeyDown={onKey}
        onBlur={closePopup}
      />
      <ul className="search-list" id={listId} role="listbox" aria-label={what} ref={list}>
        {found.map((type, i) => (
          <li
            key={type.name}
            id={`${listId}-${i}`}
            role="option"
            aria-selected={i === current}
            onPointerMove={() => setCurrent(i)} // a list that comes under a resting pointer keeps its first row
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => choose(i)}
          >
            <span>{typeTitle(type, type.name)}</span>
            <span className="dim">{type.category}</span>
            <small>{type.doc}</small>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="hint">No node is called that.</p>}
    </div>
  );
}
