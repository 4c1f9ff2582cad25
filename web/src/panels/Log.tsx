// Log.tsx - what the server and the editor have to say, newest below; stays at the end unless one scrolls up.

import { useEffect, useRef, useState } from "react";
import { select } from "../canvas/selection";
import { clock } from "../runs/format";
import { clearLog, useLog, type LogLevel, type LogLine } from "../runs/log";
import { displayOf } from "../runs/plan";
import { Icon, IconButton, type IconName } from "../icons";

const icons: Partial<Record<LogLevel, IconName>> = { warning: "error", error: "error" };
const rank: Record<LogLevel, number> = { debug: 0, info: 1, warning: 2, error: 3 };

function Line({ line }: { line: LogLine }) {
  const icon = icons[line.level];
  return (
    <li data-level={line.level}>
      <time>{clock(line.timeMs)}</time>
      <span className="log-level">
        {icon && <Icon name={icon} />}
        {line.level}
      </span>
      <span className="log-text">{line.text}</span>
      {line.node && (
        <button type="button" className="link-button" onClick={() => select([displayOf(line.node!)])}>
          {line.node}
        </button>
      )}
    </li>
  );
}

export function Log({ onClose }: { onClose?: () => void }) {
  const [least, setLeast] = useState<LogLevel>("info");
  const lines = useLog().filter((line) => rank[line.level] >= rank[least]);
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  const newest = lines.at(-1)?.number;
  useEffect(() => {
    if (atEnd.current) list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [newest]);
  return (
    <section className="log" aria-label="Log">
      <header>
        <h2>Log</h2>
        <label>
          Show{" "}
          <select className="field" value={least} onChange={(event) => setLeast(event.target.value as LogLevel)}>
            <option value="debug">everything</option>
            <option value="info">messages</option>
            <option value="warning">warnings</option>
            <option value="error">errors</option>
          </select>
        </label>
        <IconButton icon="trash" label="Clear the log" onClick={clearLog} />
        {onClose && <IconButton icon="close" label="Close the log" onClick={onClose} />}
      </header>
      <ol
        ref={list}
        role="log"
        aria-label="Messages"
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          atEnd.current = scrollTop + clientHeight >= scrollHeight - 8;
        }}
      >
        {lines.map((line) => (
          <Line key={line.number} line={line} />
        ))}
      </ol>
      {lines.length === 0 && <p className="hint">Nothing was logged yet.</p>}
    </section>
  );
}
