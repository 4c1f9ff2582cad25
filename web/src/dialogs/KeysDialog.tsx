import { useState, type KeyboardEvent } from "react";
import { commands, type Command } from "../commands";
import { bind, keysOf, resetKeys, useBindings, whyNotKey } from "../page/bindings";
import { keyName, pressed } from "../page/keys";
import { Modal } from "./DialogLayer";

const gestures: [string, string][] = [
  ["Double-click the canvas", "Add a node"],
  ["Drag from a socket, let go on the canvas", "Add a node that fits, connected"],
  ["Drag from a linked input", "Take its link away, or to another socket"],
  ["Double-click a link", "Bend it there; drag the bend, double-click takes it out"],
  ["Tab, behind the nodes", "Go from link to link; Delete takes one away"],
  ["Tap one socket, then another", "Connect them"],
  ["Drag the canvas, Space+drag, middle drag", "Move the view"],
  ["Wheel, pinch", "Zoom"],
  ["Ctrl+drag", "Select with a box"],
  ["Shift-click, Ctrl-click", "Add to the selection"],
  ["Shift while dragging", "Snap to the grid"],
  ["Drop a file", "Open it, or the graph inside a video"],
];

const groups = ["Run", "File", "Edit", "Nodes", "View"] as const;
const modifiers = new Set(["Control", "Shift", "Alt", "Meta", "AltGraph"]);

/** A command with its keys: pressed, it waits for the key that is to be its own. */
function Row({ command, onNews }: { command: Command; onNews: (text: string) => void }) {
  const [waiting, setWaiting] = useState(false);
  const keys = keysOf(command);

  const take = (event: KeyboardEvent) => {
    if (!waiting || event.key === "Tab" || modifiers.has(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    setWaiting(false);
    if (event.key === "Escape") return;
    const key = pressed(event);
    const problem = whyNotKey(key);
    const before = problem ? undefined : bind(command, key);
    const robbed = before ? ` ${before.label} has lost it.` : "";
    onNews(problem ?? `${command.label}: ${keyName(key)}.${robbed}`);
  };

  return (
    <tr>
      <th scope="row">{command.label}</th>
      <td>
        <button
          type="button"
          className="key-button"
          aria-label={`Key of ${command.label}: ${keys.map(keyName).join(" or ") || "none"}`}
          aria-pressed={waiting}
          data-takes-keys={waiting || undefined}
          onClick={() => setWaiting(!waiting)}
          onKeyDown={take}
          onBlur={() => setWaiting(false)}
        >
          {waiting ? <em>press a key</em> : keys.map((key) => <kbd key={key}>{keyName(key)}</kbd>)}
          {!waiting && keys.length === 0 && <span className="dim">none</span>}
        </button>
      </td>
    </tr>
  );
}

export function KeysDialog() {
  const [news, setNews] = useState("");
  const changed = Object.keys(useBindings()).length > 0;
  return (
    <Modal title="Keys">
      <p role="status" className="keys-news dim">
        {news || "Press a key's name to give the command another one."}
        {changed && (
          <button
            type="button"
            className="link-button"
            onClick={() => {
              resetKeys();
              setNews("All keys are as they were.");
            }}
          >
            Reset all keys
          </button>
        )}
      </p>
      <div className="keys">
        {groups.map((group) => (
          <table key={group}>
            <caption>{group}</caption>
            <tbody>
              {commands
                .filter((command) => command.group === group)
                .map((command) => (
                  <Row key={command.id} command={command} onNews={setNews} />
                ))}
            </tbody>
          </table>
        ))}
        <table>
          <caption>Hands</caption>
          <tbody>
            {gestures.map(([gesture, effect]) => (
              <tr key={gesture}>
                <th scope="row">{effect}</th>
                <td>{gesture}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="dim">
        Letters alone act while the canvas has the focus. The editor is drawn with React Flow;{" "}
        <a href="/licenses.txt">licences</a>.
      </p>
    </Modal>
  );
}
