// connect.ts - which links are valid, and making them.

import type { Connection } from "@xyflow/react";
import type { NodeInput, NodeOutput, NodeType } from "../api";
import { nodeType } from "../catalog";
import { edit } from "../document/actions";
import { connect, disconnect, sequence } from "../document/edits";
import { closesCircle, type Doc, type DocLink } from "../document/model";
import { currentDoc } from "../document/session";
import { nodeTitle } from "../document/names";
import { announce } from "../page/announce";
import { portFits, portName } from "../ports";

export function outputAt(doc: Doc, id: string, slot: number): NodeOutput | undefined {
  const node = doc.nodes.get(id);
  return node && nodeType(node.type)?.outputs[slot];
}

export function inputAt(doc: Doc, id: string, name: string): NodeInput | undefined {
  const node = doc.nodes.get(id);
  return node && nodeType(node.type)?.inputs.find((input) => input.name === name);
}

/** The document's link a connection on the canvas stands for. */
export function linkOf(connection: Pick<Connection, "source" | "sourceHandle" | "target" | "targetHandle">): DocLink {
  return {
    source: connection.source,
    slot: Number(connection.sourceHandle),
    target: connection.target,
    input: connection.targetHandle ?? "",
  };
}

/** null, or why this link cannot be. */
export function whyNot(doc: Doc, link: DocLink): string | null {
  const output = outputAt(doc, link.source, link.slot);
  const input = inputAt(doc, link.target, link.input);
  if (!output || !input) return "there is no such socket";
  if (!portFits(output.type, input.type)) {
    return `${input.name} takes ${portName(input.type)}, not ${portName(output.type)}`;
  }
  return closesCircle(doc, link.source, link.target) ? "the link would close a circle" : null;
}

export function makeLink(link: DocLink): void {
  const doc = currentDoc();
  const reason = whyNot(doc, link);
  const source = doc.nodes.get(link.source);
  const target = doc.nodes.get(link.target);
  if (reason || !source || !target) {
    announce(`Not connected: ${reason}.`);
    return;
  }
  edit(connect(link));
  announce(`Connected ${nodeTitle(source)} to ${nodeTitle(target)} input ${link.input}.`);
}

export function moveLink(old: Pick<DocLink, "target" | "input">, link: DocLink): void {
  if (whyNot(currentDoc(), link) === null) edit(sequence([disconnect([old]), connect(link)]));
}

export function dropLink(link: Pick<DocLink, "target" | "input">): void {
  edit(disconnect([link]));
  announce(`Disconnected input ${link.input}.`);
}

/** One end of a link that waits for the other. */
export type LooseEnd = { node: string; slot: number; type: string } | { node: string; input: string; type: string };

/** Which sockets of a type take this end: `name` of an input, or the index of an output. */
export function matches(type: NodeType, end: LooseEnd): (string | number)[] {
  if ("slot" in end) return type.inputs.filter((input) => portFits(end.type, input.type)).map((input) => input.name);
  return type.outputs.flatMap((output, slot) => (portFits(output.type, end.type) ? [slot] : []));
}

/** The link between a loose end and a new node. */
export function completed(end: LooseEnd, id: string, type: NodeType): DocLink | null {
  const [socket] = bestFirst(type, end);
  if (socket === undefined) return null;
  if ("slot" in end) return { source: end.node, slot: end.slot, target: id, input: String(socket) };
  return { source: id, slot: Number(socket), target: end.node, input: end.input };
}

/** A socket of the very type before one that takes anything. */
function bestFirst(type: NodeType, end: LooseEnd): (string | number)[] {
  const typeOf = (socket: string | number) =>
    typeof socket === "number" ? type.outputs[socket]!.type : type.inputs.find((input) => input.name === socket)!.type;
  return matches(type, end).sort((a, b) => Number(typeOf(b) === end.type) - Number(typeOf(a) === end.type));
}
