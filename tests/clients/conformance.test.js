// conformance.test.js - what ComfyUI's clients rely on when a graph is run: caching, lazy inputs, lists, expansion, errors,
// the queue. Over HTTP and WebSocket, with the nodes of tests/lua/conformance_nodes.lua.
//
//     node --test     with TUBELET_BIN and TUBELET_NODES; run by tests/test_conformance.sh

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { Client, Server, node } from "./server.js";

let server, client;
let fresh = 0; // a value that no earlier prompt had

before(async () => {
  server = await Server.start("--nodes", process.env.TUBELET_NODES);
});

beforeEach(async () => {
  client?.close();
  client = await Client.open(server);
  fresh++;
});

after(async () => {
  client.close();
  assert.equal(await server.stop(), 0, server.said);
});

const num = (value) => node("t_int", { value });
const pic = (value) => node("t_picture", { value: value + fresh / 10000, size: 2 });
const show = (v) => node("t_show", { v });

function refusal(answer, id) {
  assert.equal(answer.status, 400, answer.text);
  assert.equal(answer.json.error.type, "prompt_outputs_failed_validation");
  assert.equal(answer.json.error.message, "Prompt outputs failed validation");
  return answer.json.node_errors[id];
}

// ---------------------------------------------------------------------------------------------------- cache

function mixed(a, b, share) {
  return {
    a: pic(a),
    b: pic(b),
    m: node("t_mix", { a: ["a", 0], b: ["b", 0], share }),
    o: node("t_mean", { image: ["m", 0] }),
  };
}

test("a prompt that has run runs no more", async () => {
  const first = await client.run(mixed(0, 1, 0.5));
  assert.deepEqual(first.ran, ["a", "b", "m", "o"]);
  assert.deepEqual(first.cached, []);
  assert.deepEqual(first.text("o"), ["0.50"]);
  const again = await client.run(mixed(0, 1, 0.5));
  assert.deepEqual(again.ran, []);
  assert.deepEqual(again.cached, ["a", "b", "m", "o"]);
  assert.deepEqual(again.text("o"), ["0.50"]); // cached outputs are told again
  assert.deepEqual(again.of("executed").map((d) => [d.node, d.display_node, d.output]), [["o", "o", { text: ["0.50"] }]]);
});

test("only what changed runs, and what hangs on it", async () => {
  await client.run(mixed(0, 1, 0.5));
  const graph = mixed(0, 1, 0.5);
  graph.b.inputs.value = 0.5 + fresh / 10000;
  const second = await client.run(graph);
  assert.deepEqual(second.ran, ["b", "m", "o"]);
  assert.deepEqual(second.cached, ["a"]);
  assert.deepEqual(second.text("o"), ["0.25"]);
});

test("ids, titles and the order of nodes do not count", async () => {
  await client.run(mixed(0, 1, 0.5));
  const { a, b } = mixed(0, 1, 0.5);
  const again = await client.run({
    "the end": node("t_mean", { image: ["12:3", 0] }, "another title"),
    "12:3": node("t_mix", { a: ["a.b [c]", 0], b: ["7", 0], share: 0.5 }),
    7: b,
    "a.b [c]": { ...a, unknown: 5 },
  });
  assert.deepEqual(again.ran, []);
  assert.deepEqual(again.text("the end"), ["0.50"]);
});

test("two outputs of the same share one result, and both are told", async () => {
  const story = await client.run({ a: pic(0.25), x: node("t_mean", { image: ["a", 0] }), y: node("t_mean", { image: ["a", 0] }) });
  assert.deepEqual(story.text("x"), ["0.25"]);
  assert.deepEqual(story.text("y"), ["0.25"]);
});

test("outputs that were not executed in a prompt do not appear in it", async () => {
  const both = { a: pic(0), b: pic(1), x: node("t_mean", { image: ["a", 0] }), y: node("t_mean", { image: ["b", 0] }) };
  await client.run(both);
  const { y, ...one } = both;
  const story = await client.run(one);
  assert.deepEqual(Object.keys(story.outputs), ["x"]);
  assert.ok(!story.cached.includes("y"));
  const part = await client.run(both, { partial_execution_targets: ["y"] });
  assert.deepEqual(Object.keys(part.outputs), ["y"]);
  assert.deepEqual(part.entry.prompt[4], ["y"]);
});

test("impure nodes run always, declared changes decide for others", async () => {
  for (const type of ["t_always", "t_nan"]) {
    const graph = { a: node(type, { v: fresh }), b: node("t_add", { a: ["a", 0], b: ["c", 0] }), c: num(5), o: show(["b", 0]) };
    await client.run(graph);
    const again = await client.run(graph);
    assert.ok(again.ran.includes("a"), type);
    assert.ok(again.cached.includes("c"), type);
    assert.ok(!again.cached.includes("a"), type);
  }
  const graph = (note) => ({ a: node("t_declared", { note }), o: show(["a", 0]) });
  assert.deepEqual((await client.run(graph(3))).text("o"), ["integer 3"]);
  assert.deepEqual((await client.run(graph(3))).ran, []);
  assert.deepEqual((await client.run(graph(4))).ran, ["a", "o"]);
});

test("free drops what is kept in memory only; the server goes on", async () => {
  await client.run(mixed(0, 1, 0.5));
  assert.equal((await server.call("POST", "/free", { unload_models: true, free_memory: true })).status, 200);
  assert.deepEqual((await client.run(mixed(0, 1, 0.5))).text("o"), ["0.50"]);
});

// ---------------------------------------------------------------------------------------------------- lazy

test("lazy inputs run only when they are asked for", async () => {
  const left = await client.run(mixed(0, 1, 0));
  assert.deepEqual(left.ran, ["a", "m", "o"]);
  assert.deepEqual(left.text("o"), ["0.00"]);
  fresh++;
  const right = await client.run(mixed(0, 1, 1));
  assert.deepEqual(right.ran, ["b", "m", "o"]);
  fresh++;
  assert.deepEqual((await client.run(mixed(0, 1, 0.5))).ran, ["a", "b", "m", "o"]);
});

test("lazy inputs are asked for one after the other", async () => {
  const graph = (a, b) => ({
    a: node("t_always", { v: a }),
    b: node("t_always", { v: b }),
    s: node("t_switch", { a: ["a", 0], b: ["b", 0] }),
    o: show(["s", 0]),
  });
  const one = await client.run(graph(7, 9));
  assert.deepEqual(one.ran, ["a", "o", "s"]);
  assert.deepEqual(one.text("o"), ["integer 7"]);
  const two = await client.run(graph(0, 9));
  assert.deepEqual(two.ran, ["a", "b", "o", "s"]);
  assert.deepEqual(two.text("o"), ["integer 9"]);
});

test("a failing branch that nobody asks for does no harm", async () => {
  const story = await client.run({
    a: num(4),
    b: node("t_fail", {}),
    s: node("t_switch", { a: ["a", 0], b: ["b", 0] }),
    o: show(["s", 0]),
  });
  assert.equal(story.error, null);
  assert.deepEqual(story.text("o"), ["integer 4"]);
});

// ---------------------------------------------------------------------------------------------------- lists

test("a node is called for each element, and the last of a shorter list repeats", async () => {
  const story = await client.run({
    long: node("t_range", { first: 1, count: 4 }),
    short: node("t_range", { first: 10, count: 2 }),
    sum: node("t_add", { a: ["long", 0], b: ["short", 0] }),
    o: show(["sum", 0]),
    all: node("t_gather", { values: ["sum", 0], times: 3 }),
  });
  assert.deepEqual(story.text("o"), ["integer 11", "integer 13", "integer 14", "integer 15"]);
  assert.deepEqual(story.text("all"), ["[integer 11, integer 13, integer 14, integer 15] x[integer 3]"]);
  assert.equal(story.of("executing").filter((d) => d.node === "sum").length, 1);
});

test("lists that a node makes for each element are joined", async () => {
  const story = await client.run({
    counts: node("t_range", { first: 1, count: 3 }),
    lists: node("t_range", { first: 5, count: ["counts", 0] }),
    all: node("t_gather", { values: ["lists", 0] }),
  });
  assert.deepEqual(story.text("all"), ["[integer 5, integer 5, integer 6, integer 5, integer 6, integer 7] x[integer 1]"]);
});

test("a list as a value is wrapped", async () => {
  const story = await client.run({ v: node("t_literal", { v: { __value__: [1, 2.0, "x"] } }), o: show(["v", 0]) });
  assert.deepEqual(story.text("o"), ["[integer 1, integer 2, x]"]); // JavaScript sends 2.0 as 2
});

// ------------------------------------------------------------------------------------------------- expansion

test("an expansion that hangs on a value is made when the value is there", async () => {
  const graph = (n) => ({ v: num(50), n: node("t_always", { v: n }), e: node("t_expand", { v: ["v", 0], n: ["n", 0] }), o: show(["e", 0]) });
  const story = await client.run(graph(3));
  assert.deepEqual(story.text("o"), ["integer 53"]);
  assert.deepEqual(story.ran, ["e", "n", "o", "v"]);
  const inner = story.of("executing").filter((d) => d.display_node === "e" && d.node !== "e");
  assert.ok(inner.some((d) => d.node === "e/add_2"), JSON.stringify(inner));
  assert.ok(story.of("progress_state").flatMap((d) => Object.values(d.nodes)).every((s) => s.prompt_id === story.posted.prompt_id));
});

test("the same expansion comes from the cache", async () => {
  const graph = { v: num(6), n: num(4), e: node("t_expand", { v: ["v", 0], n: ["n", 0] }), o: show(["e", 0]) };
  assert.deepEqual((await client.run(graph)).text("o"), ["integer 10"]);
  const again = await client.run(graph);
  assert.deepEqual(again.text("o"), ["integer 10"]);
  const worked = again.of("executing").filter((d) => d.node !== null && d.node !== "e");
  assert.deepEqual(worked, []);
});

test("an expansion may answer with links, values and nodes at once", async () => {
  for (const n of [2, ["n", 0]]) {
    const story = await client.run({
      v: num(20), n: node("t_always", { v: 2 }), p: node("t_parts", { v: ["v", 0], n }),
      x: show(["p", 0]), y: show(["p", 1]), z: show(["p", 2]), ...(n === 2 ? { end: node("t_end", { v: ["n", 0] }) } : {}),
    });
    assert.deepEqual([story.text("x"), story.text("y"), story.text("z")], [["integer 20"], ["n is 2"], ["integer 40"]]);
  }
});

test("a loop by expansion: each turn is known when the last one has run", async () => {
  const story = await client.run({ v: num(1), n: node("t_always", { v: 12 }), w: node("t_while", { v: ["v", 0], n: ["n", 0] }), o: show(["w", 0]) });
  assert.equal(story.error, null, JSON.stringify(story.error));
  assert.deepEqual(story.text("o"), ["integer 121"]);
  assert.deepEqual(story.ran, ["n", "o", "v", "w"]);
});

test("errors inside an expansion are told of the node of the graph", async () => {
  for (const n of [1, ["n", 0]]) {
    const graph = { n: node("t_always", { v: 1 }), e: node("t_bad_part", { n }), o: show(["e", 0]), k: node("t_end", { v: ["n", 0] }) };
    const story = await client.run(graph);
    assert.equal(story.error.node_id, "e");
    assert.equal(story.error.node_type, "t_bad_part");
    assert.match(story.error.exception_message, /inside 1/);
  }
});

test("an expansion into an invalid graph is an error of the node", async () => {
  const story = await client.run({ n: node("t_always", { v: 1 }), e: node("t_bad_input", { n: ["n", 0] }), o: show(["e", 0]) });
  assert.equal(story.error.node_id, "e");
  assert.match(story.error.exception_message, /value must be -5\.\.100, got 1000/);
});

// ---------------------------------------------------------------------------------------------------- errors

test("an error names the node, its inputs and what had run; the rest stays cached", async () => {
  const graph = { a: pic(0.5), f: node("t_fail", { v: ["a", 0], message: "no luck" }), o: show(["f", 0]) };
  const story = await client.run(graph);
  const e = story.error;
  assert.equal(e.prompt_id, story.posted.prompt_id);
  assert.equal(e.node_id, "f");
  assert.equal(e.node_type, "t_fail");
  assert.deepEqual(e.executed, ["a"]);
  assert.match(e.exception_message, /^no luck\n/);
  assert.equal(typeof e.exception_type, "string");
  assert.ok(Array.isArray(e.traceback) && e.traceback.length > 0);
  assert.deepEqual(e.current_inputs.message, ["no luck"]);
  assert.ok(Array.isArray(e.current_outputs));
  assert.ok(Number.isInteger(e.timestamp));
  assert.deepEqual(story.entry.status.status_str, "error");
  assert.equal(story.entry.status.completed, false);
  assert.deepEqual(story.entry.status.messages.map((m) => m[0]), ["execution_start", "execution_cached", "execution_error"]);
  assert.deepEqual(story.entry.outputs, {});
  assert.equal(story.frames.at(-1).type, "executing"); // of no node, last

  graph.f = node("t_literal", { v: ["a", 0] });
  graph.o = node("t_mean", { image: ["f", 0] });
  const mended = await client.run(graph);
  assert.deepEqual(mended.cached, ["a"]);
  assert.deepEqual(mended.ran, ["f", "o"]);
});

test("a node that is wrong when it runs stops the prompt, and the next one runs", async () => {
  const bad = await client.run({ t: node("t_colour", { colour: "WHITE", text: "x" }), s: node("t_add", { a: ["t", 0], b: 1 }), o: show(["s", 0]) });
  assert.equal(bad.error.node_id, "s");
  assert.equal((await client.run({ a: num(1), o: show(["a", 0]) })).error, null);
});

// ------------------------------------------------------------------------------------------------- validation

test("each kind of wrong input has its type, message and facts", async () => {
  const cases = [
    ["t_mean", {}, "required_input_missing", "Required input is missing", "image", { input_name: "image" }],
    ["t_mean", { image: ["a"] }, "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", "image",
      { input_name: "image", received_value: ["a"] }],
    ["t_mean", { image: ["n", 0] }, "return_type_mismatch", "Return type mismatch between linked nodes",
      "image, received_type(INT) mismatch input_type(IMAGE)", { input_name: "image", received_type: "INT", linked_node: ["n", 0] }],
    ["t_int", { value: "abc" }, "invalid_input_type", "Failed to convert an input value to a INT value", /^value, abc, /,
      { input_name: "value", received_value: "abc" }],
    ["t_int", { value: -6 }, "value_smaller_than_min", "Value -6 smaller than min of -5", "value", { input_name: "value", received_value: -6 }],
    ["t_int", { value: 101 }, "value_bigger_than_max", "Value 101 bigger than max of 100", "value", { input_name: "value", received_value: 101 }],
    ["t_float", { value: 10.5 }, "value_bigger_than_max", "Value 10.5 bigger than max of 10.0", "value", { input_name: "value", received_value: 10.5 }],
    ["t_colour", { colour: "PINK" }, "value_not_in_list", "Value not in list", "colour: 'PINK' not in ['WHITE', 'BLACK']",
      { input_name: "colour", received_value: "PINK" }],
    ["t_real", { v: 5 }, "custom_validation_failed", "Custom validation failed for node", "v - v must be a real number", { input_name: "v" }],
    ["t_real", { v: 0.5, w: 5 }, "custom_validation_failed", "Custom validation failed for node", "v", { input_name: "v" }],
  ];
  for (const [type, inputs, kind, message, details, info] of cases) {
    const graph = { n: num(1), a: pic(0), x: node(type, inputs) };
    if (type !== "t_mean") graph.o = show(["x", 0]);
    const own = refusal(await client.post(graph), "x");
    assert.ok(own, `${type} ${kind}`);
    const e = own.errors[0];
    assert.equal(e.type, kind);
    assert.equal(e.message, message);
    if (details instanceof RegExp) assert.match(e.details, details);
    else assert.equal(e.details, details);
    for (const [k, v] of Object.entries(info)) assert.deepEqual(e.extra_info[k], v, `${kind} ${k}`);
    if ("received_value" in info) assert.equal(e.extra_info.input_config[0].constructor, type === "t_colour" ? Array : String);
    assert.deepEqual(own.dependent_outputs, [graph.o ? "o" : "x"]);
    assert.equal(own.class_type, type);
  }
});

test("all errors of a node are told, and only of nodes with errors of their own", async () => {
  const graph = { c: node("t_colour", { colour: "PINK", text: { a: 1 } }), p: node("t_picture", { value: 2, size: 0 }), o: show(["c", 0]), m: node("t_mean", { image: ["p", 0] }) };
  const answer = await client.post(graph);
  assert.deepEqual(refusal(answer, "p").errors.map((e) => e.type).sort(), ["value_bigger_than_max", "value_smaller_than_min"]);
  assert.deepEqual(Object.keys(answer.json.node_errors).sort(), ["c", "p"]);
  assert.deepEqual(answer.json.node_errors.p.dependent_outputs, ["m"]);
  assert.equal(answer.json.error.details, ""); // the errors sit upstream of the outputs
});

test("several validated inputs are told one by one when the node names none", async () => {
  const graph = { x: node("t_real", { v: 0.5, w: 5 }), o: show(["x", 0]) };
  assert.deepEqual(refusal(await client.post(graph), "x").errors.map((e) => e.details), ["v", "w"]);
});

test("5 is not 5.0", async () => {
  const text = (v) => `{"prompt":{"x":{"class_type":"t_real","inputs":{"v":${v}}},"o":{"class_type":"t_show","inputs":{"v":["x",0]}}},"client_id":"${client.id}"}`;
  assert.equal((await server.call("POST", "/prompt", text("5"))).status, 400);
  const from = client.frames.length;
  const posted = await server.call("POST", "/prompt", text("5.0"));
  assert.equal(posted.status, 200, posted.text);
  assert.deepEqual((await client.follow(posted, from)).text("o"), ["float 5.0"]);
});

test("literals are converted as Python converts them", async () => {
  const story = await client.run({
    a: num(2.9), b: num("7"), c: node("t_float", { value: "1.5" }), d: node("t_bool", { value: "no" }), e: node("t_colour", { colour: "BLACK", text: 5 }),
    1: show(["a", 0]), 2: show(["b", 0]), 3: show(["c", 0]), 4: show(["d", 0]), 5: show(["e", 0]),
  });
  assert.deepEqual(["1", "2", "3", "4", "5"].map((id) => story.text(id)[0]), ["integer 2", "integer 7", "float 1.5", "true", "BLACK5"]);
});

test("valid outputs run although others are not; what was dropped is told", async () => {
  const graph = { a: num(1), b: num(1000), x: show(["a", 0]), y: show(["b", 0]) };
  const story = await client.run(graph);
  assert.deepEqual(Object.keys(story.posted.node_errors), ["b"]);
  assert.deepEqual(story.posted.node_errors.b.dependent_outputs, ["y"]);
  assert.deepEqual(Object.keys(story.outputs), ["x"]);
  assert.deepEqual(story.entry.prompt[4], ["x"]);
});

test("prompts that cannot be looked at are refused as a whole", async () => {
  const cases = [
    [{}, "no_prompt", "No prompt provided", "No prompt provided"],
    [{ prompt: { 1: { inputs: {} } } }, "invalid_prompt", "Cannot execute because a node is missing the class_type property.", "Node ID '#1'"],
    [{ prompt: { 1: node("t_nothing") } }, "invalid_prompt", "Cannot execute because node t_nothing does not exist.", "Node ID '#1'"],
    [{ prompt: { 1: num(1) } }, "prompt_no_outputs", "Prompt has no outputs", ""],
    [{ prompt: { 1: num(1), 2: show(["1", 0]) }, partial_execution_targets: [] }, "prompt_no_outputs", "Prompt has no outputs", ""],
    [{ prompt: { 1: num(1), 2: show(["1", 0]) }, partial_execution_targets: ["1"] }, "prompt_no_outputs", "Prompt has no outputs", ""],
  ];
  for (const [body, type, message, details] of cases) {
    const { status, json } = await server.call("POST", "/prompt", body);
    assert.equal(status, 400);
    assert.deepEqual([json.error.type, json.error.message, json.error.details], [type, message, details]);
    assert.deepEqual(json.node_errors, {});
    assert.equal(typeof json.error.extra_info, "object");
  }
});

test("links that lead nowhere, and circles, are errors of their nodes", async () => {
  const own = refusal(await client.post({ o: show(["x", 0]) }), "o");
  assert.equal(own.errors[0].type, "exception_during_validation");
  assert.equal(own.errors[0].message, "Exception when validating node");
  assert.match(own.errors[0].details, /'x', which is not in the graph/);
  const slot = refusal(await client.post({ a: num(1), o: show(["a", 7]) }), "o");
  assert.equal(slot.errors[0].type, "exception_during_validation");
  const answer = await client.post({ a: node("t_add", { a: ["b", 0], b: 1 }), b: node("t_add", { a: ["a", 0], b: 1 }), o: show(["a", 0]) });
  assert.equal(answer.status, 400);
  const cycle = Object.values(answer.json.node_errors)[0].errors[0];
  assert.equal(cycle.type, "dependency_cycle");
  assert.equal(cycle.message, "Dependency cycle detected");
  assert.match(cycle.details, /^a \(t_add\) -> b \(t_add\) -> a \(t_add\)$|^b \(t_add\) -> a \(t_add\) -> b \(t_add\)$/);
});

test("inputs that no class declares: literals are dropped, links are passed where the node takes them", async () => {
  const dropped = await client.run({ a: node("t_int", { value: 3, gone: 99 }), o: show(["a", 0]) });
  assert.deepEqual(dropped.text("o"), ["integer 3"]);
  const f = (value) => node("t_float", { value });
  const sum = await client.run({ a: f(1), b: f(2), c: f(4), t: node("t_total", { first: ["a", 0], other: ["b", 0], more: ["c", 0], gone: 8 }), o: show(["t", 0]) });
  assert.deepEqual(sum.text("o"), ["float 7.0"]);
});

test("seeds go to 2^64-1", async () => {
  for (const seed of ["9223372036854775807", "9223372036854775808", "18446744073709551615"]) {
    const text = `{"prompt":{"x":{"class_type":"t_seed","inputs":{"seed":${seed}}},"o":{"class_type":"t_show","inputs":{"v":["x",0]}}},"client_id":"${client.id}"}`;
    const from = client.frames.length;
    const posted = await server.call("POST", "/prompt", text);
    assert.equal(posted.status, 200, posted.text);
    const story = await client.follow(posted, from);
    assert.match(story.text("o")[0], /^integer -?\d+$/); // the bits of the seed: semantics.test.js
  }
});

test("a node may give what no JSON has", async () => {
  const story = await client.run({ a: node("t_float", { value: 0 }), d: node("t_over", { a: ["a", 0] }), o: show(["d", 0]) });
  assert.match(story.text("o")[0], /^float -?nan$/);
});

// ------------------------------------------------------------------------------------------------------ queue

test("numbers order the queue; front goes before", async () => {
  const from = client.frames.length;
  const hold = await client.post({ v: node("t_always", { v: fresh }), s: node("t_slow", { v: ["v", 0] }), o: show(["s", 0]) });
  await client.until((f) => f.type === "executing" && f.data.node === "s", from);
  const prompt = (v) => ({ a: num(v), o: show(["a", 0]) });
  const late = await client.post(prompt(1), { number: 1e9 });
  const early = await client.post(prompt(2), { number: -1e9 });
  const front = await client.post(prompt(3), { front: true });
  assert.match(late.text, /"number": ?1000000000\.0/);
  assert.ok(front.json.number < 0);
  const { queue_running, queue_pending } = (await server.call("GET", "/queue")).json;
  assert.equal(queue_running[0][1], hold.json.prompt_id);
  assert.deepEqual(queue_pending.map((i) => i[1]), [early, front, late].map((p) => p.json.prompt_id));
  assert.equal((await server.call("GET", "/prompt")).json.exec_info.queue_remaining, 4);
  await server.call("POST", "/interrupt", { prompt_id: hold.json.prompt_id });
  const story = await client.follow(hold, from);
  assert.equal(story.frames.at(-2).type, "execution_interrupted");
  assert.equal(story.entry.status.status_str, "error");
  assert.equal(story.entry.status.messages.at(-1)[0], "execution_interrupted");
  assert.equal(story.of("execution_interrupted")[0].node_id, "s");
  for (const p of [early, front, late]) await client.follow(p, from);
  const history = (await server.call("GET", "/history?max_items=3")).json;
  assert.deepEqual(Object.keys(history), [early, front, late].map((p) => p.json.prompt_id));
});

test("an interrupt of another prompt than the running one does nothing", async () => {
  const from = client.frames.length;
  const hold = await client.post({ v: node("t_always", { v: fresh }), s: node("t_slow", { v: ["v", 0] }), o: show(["s", 0]) });
  await client.until((f) => f.type === "executing" && f.data.node === "s", from);
  assert.equal((await server.call("POST", "/interrupt", { prompt_id: "somebody else" })).status, 200);
  assert.equal((await server.call("GET", "/queue")).json.queue_running.length, 1);
  assert.equal((await server.call("POST", "/interrupt")).status, 200);
  assert.equal((await client.follow(hold, from)).entry.status.status_str, "error");
});

test("two clients see their own prompts", async () => {
  const other = await Client.open(server);
  const from = other.frames.length;
  const mine = await client.run({ a: num(11), o: show(["a", 0]) });
  const theirs = await other.run({ a: num(12), o: show(["a", 0]) });
  assert.deepEqual(mine.text("o"), ["integer 11"]);
  const ids = new Set(other.frames.slice(from).map((f) => f.data.prompt_id).filter(Boolean));
  assert.deepEqual([...ids], [theirs.posted.prompt_id]);
  other.close();
});

test("frames come in order, with prompt_id on each", async () => {
  const story = await client.run(mixed(0, 1, 0.5));
  const types = story.frames.map((f) => f.type).filter((t) => !t.startsWith("progress"));
  assert.deepEqual(types.slice(0, 2), ["execution_start", "execution_cached"]);
  assert.deepEqual(types.slice(-3), ["executed", "execution_success", "executing"]);
  assert.equal(types.filter((t) => t === "executing").length, 5);
  assert.deepEqual(story.entry.status.messages.map((m) => m[0]), ["execution_start", "execution_cached", "execution_success"]);
  assert.ok(story.entry.status.messages.every((m) => m[1].prompt_id === story.posted.prompt_id && Number.isInteger(m[1].timestamp)));
  assert.deepEqual(story.entry.meta.o, { node_id: "o", display_node: "o", parent_node: null, real_node_id: "o" });
});
