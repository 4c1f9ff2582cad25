// semantics.test.js - what ComfyUI's own execution suite and its server say of seeds, blocked outputs, lists, errors and
// routes, with the nodes of tests/lua/conformance_nodes.lua.
//
//     node --test     with TUBELET_BIN and TUBELET_NODES; run by tests/test_conformance.sh

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { Client, Server, node } from "./server.js";

let server, client;

before(async () => {
  server = await Server.start("--nodes", process.env.TUBELET_NODES);
});

beforeEach(async () => {
  client?.close();
  client = await Client.open(server);
});

after(async () => {
  client.close();
  assert.equal(await server.stop(), 0, server.said);
});

const num = (value) => node("t_int", { value });
const show = (v) => node("t_show", { v });
const get = (path) => server.call("GET", path);
const post = (path, body) => server.call("POST", path, body);

// Post text as it is: JavaScript would round its numbers.
async function runText(prompt, more = "") {
  const from = client.frames.length;
  const posted = await post("/prompt", `{"prompt":${prompt},"client_id":"${client.id}"${more}}`);
  assert.equal(posted.status, 200, posted.text);
  return client.follow(posted, from);
}

// ---------------------------------------------------------------------------------------------------- seeds

const seeded = (seed, type = "t_seeded") =>
  `{"x":{"class_type":"${type}","inputs":{"seed":${seed}}},"o":{"class_type":"t_show","inputs":{"v":["x",0]}}}`;

test("a seed of 64 bits comes back as it was sent, and a node gets its bits", async () => {
  const cases = [
    ["0", "0"], ["9223372036854775807", "9223372036854775807"], ["9223372036854775808", "-9223372036854775808"],
    ["9223372036854775809", "-9223372036854775807"], ["18446744073709551615", "-1"],
  ];
  for (const [seed, bits] of cases) {
    const story = await runText(seeded(seed));
    assert.deepEqual(story.text("o"), [`integer ${bits}`]);
    assert.ok(story.ran.includes("x"), `${seed} has a key of its own`);
    const id = story.posted.prompt_id;
    for (const path of [`/history/${id}`, `/api/jobs/${id}`])
      assert.ok((await get(path)).text.includes(`"seed":${seed}}`), path);
  }
  assert.deepEqual((await runText(seeded("18446744073709551615"))).ran, []);
  assert.match((await get("/object_info/KSampler")).text, /"seed":\["INT",\{[^}]*"max":18446744073709551615[,}]/);
});

test("a seed outside of 64 bits is refused, as is a negative one; other numbers keep their range", async () => {
  for (const [text, type, value] of [
    [seeded("18446744073709551616"), "value_bigger_than_max", "18446744073709551616"],
    [seeded("-1"), "value_smaller_than_min", "-1"],
    [seeded("-9223372036854775809"), "value_smaller_than_min", "-9223372036854775809"],
    [`{"x":{"class_type":"t_int","inputs":{"value":18446744073709551615}},"o":{"class_type":"t_show","inputs":{"v":["x",0]}}}`,
      "value_bigger_than_max", "18446744073709551615"],
  ]) {
    const answer = await post("/prompt", `{"prompt":${text}}`);
    assert.equal(answer.status, 400, text);
    assert.equal(answer.json.node_errors.x.errors[0].type, type);
    assert.ok(answer.text.includes(`"received_value":${value}`), answer.text);
  }
});

test("a seed goes through composites, and into the files that are made with it", async () => {
  const noise = async (seed) => {
    const story = await runText(
      `{"m":{"class_type":"UNETLoader","inputs":{"unet_name":"tubelet-tiny"}},` +
        `"s":{"class_type":"PrimitiveInt","inputs":{"value":${seed}}},` +
        `"n":{"class_type":"noise_init","inputs":{"model":["m",0],"seed":["s",0],"size":"32x32","frames":1}},` +
        `"o":{"class_type":"SaveLatent","inputs":{"samples":["n",0],"filename_prefix":"seed"}}}`,
      `,"extra_data":{"extra_pnginfo":{"workflow":{"id":"drawn"}}}`);
    assert.equal(story.error, null, JSON.stringify(story.error));
    const file = story.outputs.o.images[0];
    const bytes = Buffer.from(await (await fetch(`${server.host}/view?filename=${file.filename}`)).arrayBuffer());
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))));
    const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE(0))).toString("base64");
    return { texts: header.__metadata__, data };
  };
  const top = await noise("18446744073709551615"), half = await noise("9223372036854775808"), zero = await noise("0");
  assert.equal(new Set([top.data, half.data, zero.data]).size, 3, "three seeds, three noises");
  assert.ok(top.texts.prompt.includes('"value":18446744073709551615'), top.texts.prompt);
  assert.deepEqual(JSON.parse(top.texts.workflow), { id: "drawn" });
});

// ---------------------------------------------------------------------------------------------------- values

test("literals in the history are what the class made of them", async () => {
  const story = await runText(
    `{"a":{"class_type":"t_int","inputs":{"value":2.9}},"b":{"class_type":"t_float","inputs":{"value":1}},` +
      `"o":{"class_type":"t_show","inputs":{"v":["a",0]}},"p":{"class_type":"t_show","inputs":{"v":["b",0]}}}`);
  const text = (await get(`/history/${story.posted.prompt_id}`)).text;
  assert.ok(text.includes('"a":{"class_type":"t_int","inputs":{"value":2}}'), text);
  assert.ok(text.includes('"b":{"class_type":"t_float","inputs":{"value":1.0}}'), text);
  assert.ok(Number.isInteger(story.entry.prompt[3].create_time));
});

test("an INT is no FLOAT for a link, and a STRING no choice", async () => {
  for (const [inner, type] of [
    [{ x: node("t_float", { value: ["i", 0] }), o: show(["x", 0]) }, "received_type(INT) mismatch input_type(FLOAT)"],
    [{ s: node("t_colour", { colour: "WHITE" }), x: node("t_colour", { colour: ["s", 0] }), o: show(["x", 0]) }, "received_type(STRING)"],
  ]) {
    const answer = await client.post({ i: num(1), ...inner });
    assert.equal(answer.status, 400);
    const e = answer.json.node_errors.x.errors[0];
    assert.equal(e.type, "return_type_mismatch");
    assert.ok(e.details.includes(type), e.details);
  }
});

// ---------------------------------------------------------------------------------------------------- blocked

test("what would read a blocked value does not run, and gives the same in its turn", async () => {
  const graph = (block) => ({
    v: num(4), b: node("t_block", { v: ["v", 0], block }), s: node("t_add", { a: ["b", 0], b: 1 }), o: show(["s", 0]), p: show(["v", 0]),
  });
  const story = await client.run(graph(true));
  assert.equal(story.error, null);
  assert.deepEqual(Object.keys(story.outputs), ["p"]);
  assert.deepEqual(story.of("executed").map((d) => d.node), ["p"]);
  assert.equal(story.entry.status.status_str, "success");
  assert.deepEqual((await client.run(graph(true))).outputs, story.outputs); // from the cache
  assert.deepEqual((await client.run(graph(false))).text("o"), ["integer 5"]);
});

test("a message is told once, as an error that ends nothing", async () => {
  const story = await client.run({
    v: num(5), b: node("t_block", { v: ["v", 0], block: true, why: "not today" }), s: node("t_add", { a: ["b", 0], b: 1 }), o: show(["s", 0]),
  });
  const errors = story.of("execution_error");
  assert.equal(errors.length, 1);
  assert.equal(errors[0].node_id, "s");
  assert.equal(errors[0].node_type, "t_add");
  assert.equal(errors[0].exception_type, "ExecutionBlocked");
  assert.equal(errors[0].exception_message, "Execution Blocked: not today");
  assert.deepEqual([errors[0].traceback, errors[0].current_inputs, errors[0].current_outputs], [[], [], []]);
  assert.ok(!("timestamp" in errors[0]));
  assert.deepEqual(story.entry.status.messages.map((m) => m[0]), ["execution_start", "execution_cached", "execution_success"]);
});

test("of a list only the blocked element is left out; a node that takes lists whole is kept from all", async () => {
  const list = node("t_range", { first: 1, count: 3 });
  const graph = {
    l: list, c: node("t_is", { a: ["l", 0], b: 2 }), b: node("t_block", { v: ["l", 0], block: ["c", 0] }), o: show(["b", 0]),
    g: node("t_gather", { values: ["b", 0] }),
  };
  const story = await client.run(graph);
  assert.deepEqual(story.text("o"), ["integer 1", "integer 3"]);
  assert.equal(story.outputs.g, undefined);
});

test("pictures that are blocked are not written", async () => {
  const picture = node("t_picture", { value: 0.25, size: 8 });
  const story = await client.run({ a: picture, b: node("t_block", { v: ["a", 0], block: true }), o: node("PreviewImage", { images: ["b", 0] }), p: node("PreviewImage", { images: ["a", 0] }) });
  assert.equal(story.error, null, JSON.stringify(story.error));
  assert.deepEqual(Object.keys(story.outputs), ["p"]);
});

// ---------------------------------------------------------------------------------------------------- lists

test("an expansion is made for each element of a list; the last of a shorter one repeats", async () => {
  const story = await client.run({
    n: node("t_range", { first: 0, count: 3 }), v: node("t_range", { first: 10, count: 4 }),
    g: node("t_grow", { v: ["v", 0], n: ["n", 0] }), o: show(["g", 0]), all: node("t_gather", { values: ["g", 0] }),
  });
  assert.equal(story.error, null, JSON.stringify(story.error));
  // 10 with 0: itself; 11 with 1: a number; 12 and 13 with 2: nodes
  assert.deepEqual(story.text("o"), ["integer 10", "integer 1", "integer 24", "integer 26"]);
  assert.deepEqual(story.text("all"), ["[integer 10, integer 1, integer 24, integer 26] x[integer 1]"]);
  assert.ok(story.ran.every((id) => "nvgoall".includes(id)), story.ran.join());
});

test("a blocked element is not expanded, and an empty list gives none", async () => {
  const grow = { g: node("t_grow", { v: 5, n: ["b", 0] }), o: show(["g", 0]) };
  const story = await client.run({
    n: node("t_range", { first: 1, count: 3 }), c: node("t_is", { a: ["n", 0], b: 2 }), b: node("t_block", { v: ["n", 0], block: ["c", 0] }), ...grow,
  });
  assert.equal(story.error, null, JSON.stringify(story.error));
  assert.deepEqual(story.text("o"), ["integer 1", "integer 1"]); // of 1 and of 3
  const none = await client.run({ b: node("t_range", { first: 1, count: 0 }), ...grow });
  assert.equal(none.error, null, JSON.stringify(none.error));
  assert.deepEqual(none.outputs, {});
});

// ---------------------------------------------------------------------------------------------------- cache

test("a node that is not to be cached runs again only when somebody needs it", async () => {
  const graph = (b) => ({ a: num(61), m: { ...node("t_add", { a: ["a", 0], b: 1 }), no_cache: true }, f: node("t_add", { a: ["m", 0], b }), o: show(["f", 0]) });
  await client.run(graph(2));
  const again = await client.run(graph(2));
  assert.deepEqual(again.ran, []);
  assert.ok(!again.cached.includes("m") && again.cached.includes("f"), again.cached.join());
  assert.deepEqual((await client.run(graph(3))).ran, ["f", "m", "o"]);
});

test("a server without a cache computes every prompt anew", async () => {
  await Server.during(["--nodes", process.env.TUBELET_NODES, "--no-cache"], async (own) => {
    const c = await Client.open(own), graph = { a: num(1), s: node("t_add", { a: ["a", 0], b: 1 }), o: show(["s", 0]) };
    await c.run(graph);
    const again = await c.run(graph);
    assert.deepEqual([again.ran, again.cached], [["a", "o", "s"], []]);
    c.close();
  });
});

// ---------------------------------------------------------------------------------------------------- errors

test("an error shows inputs as they are, what had run before, and what was cached", async () => {
  await client.run({ a: num(71), o: show(["a", 0]) });
  const story = await client.run({
    a: num(71), c: num(72), s: node("t_add", { a: ["a", 0], b: ["c", 0] }), f: node("t_fail", { v: ["s", 0], message: "7" }), o: show(["f", 0]),
  });
  assert.deepEqual(story.error.current_inputs, { message: ["7"] });
  assert.deepEqual(story.error.current_outputs, ["a"]);
  assert.deepEqual(story.error.executed.toSorted(), ["c", "s"]);
  const inside = await client.run({ n: node("t_always", { v: 3 }), e: node("t_bad_part", { n: ["n", 0] }), o: show(["e", 0]) });
  assert.deepEqual(inside.error.executed, ["n"]);
});

test("inner nodes name the node of the graph as the real one", async () => {
  const story = await client.run({ v: num(81), n: node("t_always", { v: 2 }), e: node("t_expand", { v: ["v", 0], n: ["n", 0] }), o: show(["e", 0]) });
  const states = story.of("progress_state").flatMap((d) => Object.values(d.nodes)).filter((s) => s.node_id !== s.display_node_id);
  assert.ok(states.length > 0);
  assert.ok(states.every((s) => s.real_node_id === "e" && s.parent_node_id === "e" && s.display_node_id === "e"));
});

test("a cycle is an error of each of its nodes; a broken link is told by the node that leads to it", async () => {
  const cycle = (await client.post({ a: node("t_add", { a: ["b", 0], b: 1 }), b: node("t_add", { a: ["a", 0], b: 1 }), o: show(["a", 0]) })).json.node_errors;
  assert.deepEqual(Object.keys(cycle).toSorted(), ["a", "b"]);
  for (const id of ["a", "b"]) {
    const { errors, dependent_outputs, class_type } = cycle[id];
    assert.deepEqual([errors.length, dependent_outputs, class_type], [1, ["o"], "t_add"]);
    assert.equal(errors[0].type, "dependency_cycle");
    assert.equal(errors[0].extra_info.node_id, id);
    assert.deepEqual(errors[0].extra_info.cycle_nodes.toSorted(), ["a", "b"]);
    assert.equal(errors[0].details, cycle.a.errors[0].details);
  }
  const broken = (await client.post({ x: node("t_add", { a: ["gone", 0], b: 1 }), o: show(["x", 0]) })).json.node_errors.x.errors[0];
  assert.equal(broken.type, "exception_during_inner_validation");
  assert.equal(broken.message, "Exception when validating inner node");
  assert.deepEqual([broken.extra_info.input_name, broken.extra_info.linked_node], ["v", ["x", 0]]);
  assert.equal(broken.extra_info.exception_message, broken.details);
});

// ---------------------------------------------------------------------------------------------------- sockets

test("a client that comes back takes the id over, and the old socket is closed", async () => {
  const first = await Client.open(server, "comes back"), closed = new Promise((r) => first.socket.on("close", r));
  const second = await Client.open(server, "comes back");
  assert.equal(await closed, 1000);
  second.socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
  await second.until((f) => f.type === "feature_flags");
  second.close();
});

test("who subscribes is told what is logged, others are not", async () => {
  const other = await Client.open(server), from = client.frames.length;
  const subscribe = (enabled) => server.call("PATCH", "/internal/logs/subscribe", { clientId: client.id, enabled });
  assert.equal((await subscribe(true)).status, 200);
  await client.run({ a: node("t_say", { text: "hello" }), o: show(["a", 0]) });
  const at = await client.until((f) => f.type === "logs", from);
  const { entries, size } = client.frames[at].data;
  assert.deepEqual(size, { cols: 80, rows: 24 });
  assert.match(entries[0].t, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
  assert.equal(entries[0].m, "hello\n");
  const raw = (await get("/internal/logs/raw")).json;
  assert.deepEqual(raw.entries.at(-1), entries[0]);
  assert.equal((await get("/internal/logs")).json, raw.entries.map((e) => `${e.t} - ${e.m}`).join(""));
  assert.equal((await subscribe(false)).status, 200);
  assert.ok(!other.frames.some((f) => f.type === "logs"));
  other.close();
});

test("previews come unless they are not wanted", async () => {
  const graph = (seed) => ({
    m: node("UNETLoader", { unet_name: "tubelet-tiny" }), c: node("CLIPLoader", { clip_name: "tubelet-tiny", type: "wan" }),
    t: node("CLIPTextEncode", { clip: ["c", 0], text: "a ball" }), l: node("EmptyHunyuanLatentVideo", { width: 32, height: 32, length: 1 }),
    k: node("KSampler", { model: ["m", 0], positive: ["t", 0], negative: ["t", 0], latent_image: ["l", 0], seed, steps: 2 }),
    o: node("SaveLatent", { samples: ["k", 0] }),
  });
  let pictures = 0;
  client.socket.on("message", (data, binary) => (pictures += binary ? 1 : 0));
  const none = await client.run(graph(1), { extra_data: { preview_method: "none" } });
  assert.equal(none.error, null, JSON.stringify(none.error));
  assert.equal(pictures, 0);
  await client.run(graph(2), { extra_data: { preview_method: "latent2rgb" } });
  assert.ok(pictures > 0);
});

// ---------------------------------------------------------------------------------------------------- routes

test("what a query asks for wrongly is said in ComfyUI's words", async () => {
  for (const [path, error] of [
    ["/history?max_items=many", "max_items must be an integer"], ["/history?offset=1.5", "offset must be an integer"],
    ["/api/jobs?status=done, failed", "Invalid status value(s): done. Valid values: pending, in_progress, completed, failed, cancelled"],
    ["/api/jobs?sort_by=size", "sort_by must be 'created_at' or 'execution_duration'"],
    ["/api/jobs?sort_order=up", "sort_order must be 'asc' or 'desc'"],
    ["/api/jobs?limit=0", "limit must be a positive integer"], ["/api/jobs?limit=x", "limit must be an integer"],
    ["/api/jobs?offset=x", "offset must be an integer"],
  ]) {
    const answer = await get(path);
    assert.deepEqual([answer.status, answer.json], [400, { error }], path);
  }
  assert.equal((await get("/api/jobs?status=Completed , FAILED&sort_order=ASC&offset=-3")).status, 200);
});

test("a history page counts from the oldest when it has an offset, from the newest when not", async () => {
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await client.run({ a: num(90 + i), o: show(["a", 0]) })).posted.prompt_id);
  const all = Object.keys((await get("/history")).json);
  assert.deepEqual(Object.keys((await get("/history?max_items=2")).json), ids.slice(1));
  assert.deepEqual(Object.keys((await get("/history?max_items=2&offset=0")).json), all.slice(0, 2));
  assert.deepEqual(Object.keys((await get(`/history?offset=${all.length - 1}&max_items=5`)).json), ids.slice(2));
  assert.deepEqual((await get(`/history?offset=${all.length}`)).json, {});
  assert.deepEqual((await get("/history?offset=0")).json, (await get("/history")).json);
});

test("jobs are cancelled by id, and what is no id is told", async () => {
  const unknown = "00000000-0000-4000-8000-000000000000";
  assert.deepEqual((await post(`/api/jobs/${unknown}/cancel`)).json, { cancelled: false });
  assert.deepEqual((await post("/api/jobs/cancel", { job_ids: [unknown] })).json, { cancelled: false });
  for (const [body, json] of [
    ["{", { error: "Request body must be valid JSON" }], [{}, { error: "job_ids must be a list" }],
    [{ job_ids: [unknown, "nope", 7] }, { error: "job_ids contains invalid id(s)", invalid_ids: ["nope", "7"] }],
  ]) {
    const answer = await post("/api/jobs/cancel", body);
    assert.deepEqual([answer.status, answer.json], [400, json]);
  }
});

test("a job of texts alone shows the first of them, cut", async () => {
  const long = "é".repeat(1100);
  const story = await client.run({ c: node("t_colour", { colour: "WHITE", text: long }), o: show(["c", 0]) });
  const job = (await get(`/api/jobs/${story.posted.prompt_id}`)).json;
  assert.deepEqual(job.preview_output, { content: `WHITE${long}`.slice(0, 1024), truncated: true, nodeId: "o", mediaType: "text" });
  assert.equal(job.outputs_count, 0);
});

test("an id that is in the queue already is a conflict; an interrupt needs no JSON", async () => {
  const from = client.frames.length;
  const hold = await client.post({ v: node("t_always", { v: 1 }), s: node("t_slow", { v: ["v", 0] }), o: show(["s", 0]) }, { prompt_id: "mine" });
  await client.until((f) => f.type === "executing" && f.data.node === "s", from);
  const again = await client.post({ a: num(1), o: show(["a", 0]) }, { prompt_id: "mine" });
  assert.deepEqual([again.status, again.json], [409, { error: "prompt_id already exists" }]);
  assert.equal((await post("/interrupt", "{")).status, 200);
  assert.equal((await client.follow(hold, from)).entry.status.status_str, "error");
  assert.equal((await get("/view?filename=")).status, 400);
});

test("the picture beside a model is its preview", async () => {
  const story = await client.run({ a: node("t_picture", { value: 0.5, size: 16 }), o: node("SaveImage", { images: ["a", 0], filename_prefix: "cover" }) });
  const png = Buffer.from(await (await fetch(`${server.host}/view?filename=${story.outputs.o.images[0].filename}`)).arrayBuffer());
  const kind = join(server.folder, "models", "loras");
  await mkdir(join(kind, "deep"), { recursive: true });
  await writeFile(join(kind, "deep", "style.safetensors"), "");
  await writeFile(join(kind, "deep", "style.preview.png"), png);
  const folders = (await get("/experiment/models")).json.find((f) => f.name === "loras").folders;
  const at = folders.findIndex((f) => f.endsWith("models/loras"));
  const r = await fetch(`${server.host}/experiment/models/preview/loras/${at}/deep/style.safetensors`);
  assert.deepEqual([r.status, r.headers.get("content-type")], [200, "image/webp"]);
  assert.equal(Buffer.from(await r.arrayBuffer()).subarray(8, 12).toString(), "WEBP");
  const shown = await fetch(`${server.host}/view?filename=${story.outputs.o.images[0].filename}&preview=webp`);
  assert.equal(shown.headers.get("content-disposition"), `filename="${story.outputs.o.images[0].filename}"`);
  for (const [path, status] of [
    [`loras/${at}/deep/other.safetensors`, 404], ["loras/99/a.safetensors", 404], ["loras/x/a.safetensors", 400],
    ["nothing/0/a.safetensors", 404], [`loras/${at}/`, 400],
  ])
    assert.equal((await get(`/api/experiment/models/preview/${path}`)).status, status, path);
});
