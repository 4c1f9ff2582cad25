// commands.ts - one table of everything that has a key: it feeds the keyboard, the menus and the list of keys.
//
// Keys: "Mod" is Ctrl, on a Mac Cmd. The first key is the one that is shown.

import * as canvas from "./canvas/operations";
import { openPopup } from "./canvas/popups";
import { selectedNodes } from "./canvas/selection";
import { fitView, handPosition, zoomBy } from "./canvas/viewport";
import { loadCatalog } from "./catalog";
import { showDialog } from "./dialogs/dialogs";
import { newDocument, redoEdit, undoEdit } from "./document/actions";
import { downloadApi, downloadLua, save } from "./document/files";
import { closeTab, switchBy } from "./document/switch";
import { announce } from "./page/announce";
import { setUi, toggleTab, toggleTheme, ui } from "./page/ui";
import { freeMemory, interrupt, runNow } from "./runs/actions";

export interface Command {
  id: string;
  label: string;
  group: "Run" | "File" | "Edit" | "Nodes" | "View";
  keys: readonly string[];
  /** Where the key acts: everywhere, outside fields, or with the focus on the canvas only. */
  where: "everywhere" | "page" | "canvas";
  run: () => void;
}

function command(
  group: Command["group"],
  where: Command["where"],
  id: string,
  label: string,
  keys: string[],
  run: () => void,
): Command {
  return { id, label, group, keys, where, run };
}

export const commands: readonly Command[] = [
  command("Run", "everywhere", "run", "Run", ["Mod+Enter"], () => void runNow()),
  command(
    "Run",
    "everywhere",
    "run-front",
    "Run before all others",
    ["Mod+Shift+Enter"],
    () => void runNow({ front: true }),
  ),
  command("Run", "everywhere", "interrupt", "Interrupt", ["Mod+Alt+Enter"], () => void interrupt()),
  command("Run", "page", "free-memory", "Free memory", [], () => void freeMemory()),
  command("Run", "canvas", "run-to", "Run to this node", ["Shift+Enter"], () => {
    const [id] = canvas.targetNodes();
    if (id) void runNow({ until: id });
  }),

  command("File", "page", "new", "New graph", [], () => newDocument()),
  command("File", "page", "open", "Open…", ["Mod+O"], () => showDialog("open")),
  command("File", "everywhere", "save", "Save", ["Mod+S"], () => void save()),
  command("File", "page", "next-graph", "Next open graph", ["Alt+PageDown"], () => switchBy(1)),
  command("File", "page", "last-graph", "Open graph before", ["Alt+PageUp"], () => switchBy(-1)),
  command("File", "page", "close", "Close the graph", ["Alt+W"], () => void closeTab()),
  command("File", "page", "download-lua", "Download as Lua", [], () => void downloadLua()),
  command("File", "page", "export-api", "Export (API)", [], downloadApi),

  command("Edit", "page", "undo", "Undo", ["Mod+Z"], undoEdit),
  command("Edit", "page", "redo", "Redo", ["Mod+Y", "Mod+Shift+Z"], redoEdit),
  command("Edit", "page", "copy", "Copy", ["Mod+C"], () => void canvas.copy()),
  command("Edit", "page", "cut", "Cut", ["Mod+X"], () => void canvas.cut()),
  command("Edit", "page", "paste", "Paste", ["Mod+V"], () => void canvas.paste(false)),
  command("Edit", "page", "paste-linked", "Paste with incoming links", ["Mod+Shift+V"], () => void canvas.paste(true)),
  command("Edit", "page", "duplicate", "Duplicate", ["Mod+D"], canvas.duplicate),
  command("Edit", "canvas", "delete", "Delete", ["Delete", "Backspace"], canvas.deleteSelected),
  command("Edit", "page", "select-all", "Select all", ["Mod+A"], canvas.selectAll),

  command("Nodes", "canvas", "add", "Add a node…", ["Shift+A"], () => {
    const [only, ...more] = selectedNodes();
    const end = only && more.length === 0 ? canvas.firstOutput(only) : undefined;
    openPopup({ kind: "search", at: handPosition(), end, place: end && canvas.placeAfter(end.node) });
  }),
  command("Nodes", "canvas", "rename", "Rename", ["F2"], canvas.rename),
  command("Nodes", "page", "mute", "Mute", ["Mod+M"], () => canvas.setMode("mute")),
  command("Nodes", "page", "bypass", "Bypass", ["Mod+B"], () => canvas.setMode("bypass")),
  command("Nodes", "canvas", "collapse", "Collapse", ["Alt+C"], () => canvas.setFlag("collapsed")),
  command("Nodes", "canvas", "pin", "Pin in place", ["P"], () => canvas.setFlag("pinned")),
  command("Nodes", "canvas", "fold", "Fold or unfold", ["F"], canvas.fold),
  command("Nodes", "page", "group", "Group", ["Mod+G"], canvas.group),
  command("Nodes", "canvas", "arrange", "Arrange", ["Shift+L"], canvas.arrange),
  command("Nodes", "canvas", "align-left", "Align left edges", [], () => canvas.align("x")),
  command("Nodes", "canvas", "align-top", "Align top edges", [], () => canvas.align("y")),
  command("Nodes", "canvas", "upstream", "Go to the node before", ["Mod+ArrowLeft"], () => canvas.follow("upstream")),
  command("Nodes", "canvas", "downstream", "Go to the node after", ["Mod+ArrowRight"], () =>
    canvas.follow("downstream"),
  ),
  command("Nodes", "canvas", "reload-nodes", "Reload node definitions", ["R"], () => {
    void loadCatalog().then(() => announce("Node definitions are loaded again."));
  }),

  command("View", "canvas", "fit", "Show everything", ["."], () => {
    const selected = selectedNodes();
    fitView(selected.length > 0 ? selected : undefined);
  }),
  command("View", "page", "zoom-in", "Zoom in", ["Alt+="], () => zoomBy(1)),
  command("View", "page", "zoom-out", "Zoom out", ["Alt+-"], () => zoomBy(-1)),
  command("View", "canvas", "panel-nodes", "Nodes", ["N"], () => toggleTab("nodes")),
  command("View", "canvas", "panel-queue", "Queue and history", ["Q"], () => toggleTab("queue")),
  command("View", "canvas", "panel-gallery", "Gallery", ["G"], () => toggleTab("gallery")),
  command("View", "canvas", "panel-store", "Stored results", ["C"], () => toggleTab("store")),
  command("View", "canvas", "panel-models", "Models", ["M"], () => toggleTab("models")),
  command("View", "canvas", "panel-inspector", "Inspector", ["I"], () => setUi({ right: !ui.get().right })),
  command("View", "page", "minimap", "Minimap", ["Alt+M"], () => setUi({ minimap: !ui.get().minimap })),
  command("View", "page", "links", "Hide or show links", ["Alt+L"], () => {
    setUi({ links: !ui.get().links });
    announce(ui.get().links ? "Links are shown." : "Links are hidden, but for those of what is selected.");
  }),
  command("View", "page", "log", "Log", ["Mod+`"], () => setUi({ log: !ui.get().log })),
  command("View", "page", "theme", "Dark or light", ["Mod+,"], toggleTheme),
  command("View", "canvas", "keys", "List of keys", ["?"], () => showDialog("keys")),
  command("View", "page", "keys-anywhere", "List of keys, anywhere", ["Mod+Shift+K"], () => showDialog("keys")),
];

const byId = new Map(commands.map((entry) => [entry.id, entry]));

export function commandById(id: string): Command {
  const found = byId.get(id);
  if (!found) throw new Error(`no command '${id}'`);
  return found;
}
