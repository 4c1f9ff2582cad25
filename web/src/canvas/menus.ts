// menus.ts - what the context menu offers, by what was clicked.

import type { XYPosition } from "@xyflow/react";
import { nodeType } from "../catalog";
import type { FlowLink, FlowNode } from "./flow";
import type { Popup } from "./popups";
import { select, selection } from "./selection";

const onCanvas = ["add", "paste", null, "select-all", "group", "arrange", null, "fit", "links", "open", "save", "keys"];
const onLink = ["delete"];
const onGroup = ["mute", "bypass", "collapse", "pin", null, "delete"];
const onScope = ["fold", null, "mute", "bypass", "arrange", null, "delete"];

const places = ["group", "arrange", "align-left", "align-top"];
const looks = [null, "mute", "bypass", "collapse", "pin"];
const copies = [null, "copy", "duplicate", "paste-linked", null, "delete"];
const onSelection = [...places, ...looks, ...copies];

function onNode(node: FlowNode): (string | null)[] {
  const composite = node.type === "node" && nodeType(node.data.node.type)?.kind === "composite";
  return ["run-to", "rename", ...(composite ? ["fold"] : []), ...looks, ...copies];
}

/** What was clicked is selected first, unless it is already. */
export function menuFor(at: XYPosition, thing: FlowNode | FlowLink | undefined): Popup {
  const menu = (label: string, commands: readonly (string | null)[]): Popup => ({ kind: "menu", at, label, commands });
  if (!thing) return selection.get().nodes.size > 1 ? menu("Selection", onSelection) : menu("Canvas", onCanvas);
  if ("source" in thing) {
    select([], [thing.id]);
    return menu("Link", onLink);
  }
  if (!selection.get().nodes.has(thing.id)) select([thing.id]);
  if (thing.type === "group") return menu("Group", onGroup);
  if (thing.type === "frame" || thing.type === "scope") return menu("Scope", onScope);
  return selection.get().nodes.size > 1 ? menu("Selection", onSelection) : menu("Node", onNode(thing));
}
