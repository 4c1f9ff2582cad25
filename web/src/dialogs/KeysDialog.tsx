import { commands, type Command } from "../commands";
import { keyName } from "../page/keys";
import { Modal } from "./DialogLayer";

const gestures: [string, string][] = [
  ["Double-click the canvas", "Add a node"],
  ["Drag from a socket, let go on the canvas", "Add a node that fits, connected"],
  ["Drag from a linked input", "Take its link away, or to another socket"],
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
const withKeys = commands.filter((command) => command.keys.length > 0 && command.id !== "keys-anywhere");

function Row({ command }: { command: Command }) {
  const keys = command.id === "keys" ? [...command.keys, "Mod+Shift+K"] : command.keys;
  return (
    <tr>
      <th scope="row">{command.label}</th>
      <td>
        {keys.map((key) => (
          <kbd key={key}>{keyName(key)}</kbd>
        ))}
      </td>
    </tr>
  );
}

export function KeysDialog() {
  return (
    <Modal title="Keys">
      <div className="keys">
        {groups.map((group) => (
          <table key={group}>
            <caption>{group}</caption>
            <tbody>
              {withKeys
                .filter((command) => command.group === group)
                .map((command) => (
                  <Row key={command.id} command={command} />
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
        Keys without Ctrl act while the canvas has the focus. The editor is drawn with React Flow;{" "}
        <a href="/licenses.txt">licences</a>.
      </p>
    </Modal>
  );
}
