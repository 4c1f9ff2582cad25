// document.test.ts - the document without a page: conversion, edits, history, paste, rebase, layout.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphDocument, NodeType } from "../../web/src/api";
import { catalog } from "../../web/src/catalog";
import { copyNodes, parseClipboard, pasteNodes } from "../../web/src/document/clipboard";
import { fromApi, toApi, toComfyApi } from "../../web/src/document/convert";
import {
  addNodes,
  connect,
  disconnect,
  freshId,
  patchMeta,
  removeNodes,
  setInput,
  toggleMode,
} from "../../web/src/document/edits";
import { closeGesture, record, redo, startHistory, undo } from "../../web/src/document/history";
import { boxOf } from "../../web/src/document/layout";
import { overlap } from "../../web/src/document/geometry";
import { allLinks, closesCircle, type Doc } from "../../web/src/document/model";
import { rebase, settle } from "../../web/src/document/rebase";
import { documentIds, hiddenIn, scopeCanvasId, scopesOf } from "../../web/src/document/scopes";

const port = (name: string, type: string) => ({ name, type });
const types: NodeType[] = [
  {
    name: "noise",
    kind: "primitive",
    version: "1",
    inputs: [port("seed", "INT")],
    outputs: [port("latent", "LATENT")],
  },
  {
    name: "blend",
    kind: "primitive",
    version: "1",
    inputs: [port("a", "LATENT"), port("b", "LATENT")],
    outputs: [port("latent", "LATENT")],
  },
];
catalog.set({ types: new Map(types.map((type) => [type.name, type])), loaded: true });

const chain = (): GraphDocument => ({
  graph: {
    "1": { class_type: "noise", inputs: { seed: 7 }, _meta: { title: "first", origin: "a.lua:3" } },
    "2": { class_type: "noise", inputs: { seed: 8 } },
    out: { class_type: "blend", inputs: { a: ["1", 0], b: ["2", 0] } },
  },
});

const linkNames = (doc: Doc) =>
  [...allLinks(doc)].map((link) => `${link.source} > ${link.target}.${link.input}`).sort();

test("a document comes back as it was, with places", () => {
  const source: GraphDocument = {
    ...chain(),
    targets: ["out"],
    script: { files: ["x"] },
    view: { folded: { s: true } },
  };
  const there = toApi(fromApi(source));
  assert.deepEqual(there.graph["1"]?.inputs, { seed: 7 });
  assert.equal(there.graph["1"]?._meta?.origin, "a.lua:3");
  assert.equal(there.graph["1"]?._meta?.pos?.length, 2);
  assert.deepEqual([there.targets, there.script, there.view?.folded], [["out"], { files: ["x"] }, { s: true }]);
  assert.deepEqual(toApi(fromApi(there)), there);
});

test("unknown fields of a node's meta survive", () => {
  const document = chain();
  document.graph["1"]!._meta = { ...document.graph["1"]!._meta, vendor: { x: 1 } } as never;
  assert.deepEqual((toApi(fromApi(document)).graph["1"]?._meta as Record<string, unknown>).vendor, { x: 1 });
});

test("an exported graph has titles and nothing of the view", () => {
  assert.deepEqual(toComfyApi(fromApi(chain()), () => undefined)["2"], {
    class_type: "noise",
    inputs: { seed: 8 },
    _meta: { title: "noise" },
  });
});

test("an exported graph is what would run: no muted node, none bypassed, every value", () => {
  const port = (name: string, type: string) => ({ name, type });
  const types: Record<string, object> = {
    load: { title: "Load", inputs: [], outputs: [port("MODEL", "MODEL"), port("CLIP", "CLIP")] },
    patch: {
      inputs: [port("clip", "CLIP"), port("model", "MODEL"), { ...port("strength", "FLOAT"), default: 1 }],
      outputs: [port("MODEL", "MODEL")],
    },
    picture: { inputs: [], outputs: [port("IMAGE", "IMAGE")] },
    sample: {
      inputs: [port("model", "MODEL"), port("image", "IMAGE"), { ...port("steps", "INT"), default: 20 }],
      outputs: [port("LATENT", "LATENT")],
    },
  };
  const graph = {
    a: { class_type: "load", inputs: {} },
    b: { class_type: "patch", inputs: { model: ["a", 0], clip: ["a", 1] }, _meta: { mode: "bypass" } },
    c: { class_type: "picture", inputs: {}, _meta: { mode: "mute" } },
    d: { class_type: "picture", inputs: {}, _meta: { mode: "bypass" } },
    e: { class_type: "sample", inputs: { model: ["b", 0], image: ["c", 0] } },
    f: { class_type: "sample", inputs: { model: ["b", 0], image: ["d", 0], steps: 4 }, _meta: { title: "Mine" } },
  };
  const exported = toComfyApi(fromApi({ graph } as GraphDocument), (name) => types[name] as never);
  assert.deepEqual(exported, {
    a: { class_type: "load", inputs: {}, _meta: { title: "Load" } },
    e: { class_type: "sample", inputs: { steps: 20, model: ["a", 0] }, _meta: { title: "sample" } },
    f: { class_type: "sample", inputs: { steps: 4, model: ["a", 0] }, _meta: { title: "Mine" } },
  });
});

test("layout: sources stand left of what they feed and nothing overlaps", () => {
  const doc = fromApi(chain());
  const boxes = [...doc.nodes.values()].map(boxOf);
  for (const link of allLinks(doc)) {
    const [from, into] = [boxOf(doc.nodes.get(link.source)!), boxOf(doc.nodes.get(link.target)!)];
    assert.ok(from.x + from.width <= into.x, `${link.source} is left of ${link.target}`);
  }
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => assert.ok(!overlap(a, b, 0))));
});

test("layout: a circle does not hang", () => {
  const circle = {
    a: { class_type: "blend", inputs: { a: ["b", 0] } },
    b: { class_type: "blend", inputs: { a: ["a", 0] } },
  };
  assert.equal(fromApi({ graph: circle } as GraphDocument).nodes.size, 2);
});

test("layout: nodes with places keep them, new ones go below", () => {
  const document = chain();
  document.graph["1"]!._meta = { pos: [500, 40] };
  const doc = fromApi(document);
  assert.deepEqual(doc.nodes.get("1")?.meta.pos, [500, 40]);
  assert.ok(doc.nodes.get("2")!.meta.pos[1] > 40);
});

test("an edit that changes nothing gives the same document", () => {
  const doc = fromApi(chain());
  assert.equal(setInput("1", "seed", 7)(doc), doc);
  assert.equal(removeNodes(new Set(["nobody"]))(doc), doc);
  assert.equal(addNodes([])(doc), doc);
});

test("what an edit does not touch stays the same object", () => {
  const doc = fromApi(chain());
  const next = setInput("1", "seed", 9)(doc);
  assert.equal(next.nodes.get("2"), doc.nodes.get("2"));
  assert.notEqual(next.nodes.get("1"), doc.nodes.get("1"));
});

test("a removed node takes its links and its place among the targets along", () => {
  const doc = removeNodes(new Set(["1"]))({ ...fromApi(chain()), targets: ["1", "out"] });
  assert.deepEqual(linkNames(doc), ["2 > out.b"]);
  assert.deepEqual(doc.targets, ["out"]);
});

test("a new link replaces the old one of its input", () => {
  const doc = connect({ source: "2", slot: 0, target: "out", input: "a" })(fromApi(chain()));
  assert.deepEqual(linkNames(doc), ["2 > out.a", "2 > out.b"]);
  assert.deepEqual(linkNames(disconnect([{ target: "out", input: "a" }])(doc)), ["2 > out.b"]);
});

test("circles are seen before they are made", () => {
  const doc = fromApi(chain());
  assert.ok(closesCircle(doc, "out", "1"));
  assert.ok(!closesCircle(doc, "1", "2"));
});

test("mute is switched off only when all have it", () => {
  const one = toggleMode(["1"], "mute")(fromApi(chain()));
  const both = toggleMode(["1", "2"], "mute")(one);
  assert.equal(both.nodes.get("2")?.meta.mode, "mute");
  assert.equal(toggleMode(["1", "2"], "mute")(both).nodes.get("1")?.meta.mode, undefined);
});

test("a taken id gets a number", () => {
  assert.equal(freshId(fromApi(chain()), "noise"), "noise");
  assert.equal(freshId(fromApi(chain()), "out"), "out_2");
});

test("history: one step a gesture, typing into one field is one", () => {
  const first = fromApi(chain());
  const typed = setInput("1", "seed", 1)(first);
  const further = setInput("1", "seed", 12)(typed);
  let history = record(startHistory(first), typed, "1 seed");
  history = record(history, further, "1 seed");
  assert.equal(history.past.length, 1);
  assert.equal(undo(history).now, first);
  assert.equal(redo(undo(history)).now, further);
  history = record(closeGesture(history), setInput("1", "seed", 123)(further), "1 seed");
  assert.equal(history.past.length, 2);
});

test("history keeps 500 steps and forgets the future with a new one", () => {
  let history = startHistory(fromApi(chain()));
  for (let seed = 100; seed < 700; seed++) history = record(history, setInput("1", "seed", seed)(history.now));
  assert.equal(history.past.length, 500);
  history = record(undo(history), setInput("2", "seed", 0)(history.now));
  assert.equal(history.future.length, 0);
});

test("paste: links inside the copy follow it, others only when kept", () => {
  const doc = fromApi(chain());
  const copied = fromApi(copyNodes(doc, new Set(["1", "out"])));
  const bare = pasteNodes(doc, copied, null, false);
  assert.deepEqual(
    bare.map((node) => node.id),
    ["1_2", "out_2"],
  );
  assert.deepEqual(bare[1]?.inputs, { a: ["1_2", 0] });
  assert.deepEqual(pasteNodes(doc, copied, null, true)[1]?.inputs, { a: ["1_2", 0], b: ["2", 0] });
});

test("only graphs are taken from the clipboard", () => {
  assert.equal(parseClipboard("hello"), null);
  assert.equal(parseClipboard('{"a": 1}'), null);
  assert.equal(parseClipboard("{}"), null);
  assert.ok(parseClipboard(JSON.stringify(chain().graph)));
});

test("rebase: a new build keeps edits by hand", () => {
  const base = fromApi(chain());
  const mine = addNodes([{ id: "mine", type: "blend", inputs: { a: ["out", 0] }, meta: { pos: [0, 0] } }])(
    setInput("2", "seed", 99)(base),
  );
  const next = fromApi(chain());
  const built = setInput("1", "seed", 70)(setInput("2", "seed", 80)(next));
  const merged = rebase(base, mine, built);
  assert.deepEqual([merged.nodes.get("1")?.inputs.seed, merged.nodes.get("2")?.inputs.seed], [70, 99]);
  assert.ok(merged.nodes.has("mine"));
  const without = rebase(base, removeNodes(new Set(["1"]))(base), built);
  assert.ok(!without.nodes.has("1"));
  assert.deepEqual(linkNames(without), ["2 > out.b"]);
});

test("rebase: nodes the script no longer makes are gone, with links to them", () => {
  const base = fromApi(chain());
  const next = removeNodes(new Set(["2"]))(base);
  const mine = addNodes([{ id: "mine", type: "blend", inputs: { a: ["2", 0] }, meta: { pos: [0, 0] } }])(base);
  assert.deepEqual(rebase(base, mine, next).nodes.get("mine")?.inputs, {});
});

test("scopes: a folded one hides its nodes and stands for them", () => {
  const graph = { "a/b/x": chain().graph["1"]!, "a/y": chain().graph["2"]!, z: chain().graph["2"]! };
  const doc = { ...fromApi({ graph }), folded: { a: true } };
  assert.deepEqual(scopesOf(doc), ["a", "a/b"]);
  assert.equal(hiddenIn(doc, "a/b/x"), "a");
  assert.equal(hiddenIn(doc, "z"), null);
  assert.deepEqual(documentIds(doc, [scopeCanvasId("a"), "z"]), ["a/b/x", "a/y", "z"]);
});

test("settle: places follow the new build until a node is moved by hand", () => {
  const base = fromApi(chain());
  const longer = chain();
  longer.graph.more = { class_type: "blend", inputs: { a: ["out", 0] } };
  const next = fromApi(longer);
  const followed = settle(base, base, next, rebase(base, base, next));
  assert.deepEqual(followed.nodes.get("more")?.meta.pos, next.nodes.get("more")?.meta.pos);
  const moved = patchMeta(["out"], { pos: [900, 900] })(base);
  const kept = settle(base, moved, next, rebase(base, moved, next));
  assert.deepEqual(kept.nodes.get("out")?.meta.pos, [900, 900]);
  assert.ok(kept.nodes.get("more")!.meta.pos[1] > 900);
});
