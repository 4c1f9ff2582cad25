// robust.test.js - a server that is treated badly: scripts that never end, six clients that send anything at all.
//
//     node --test     with TUBELET_BIN and TUBELET_NODES; TUBELET_SOAK_SECONDS: how long the clients go on
//
// The binary is best one with the sanitizers in it: its exit code tells what they found.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Client, Server, node } from "./server.js";

const seconds = Number(process.env.TUBELET_SOAK_SECONDS ?? 5);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
// freed memory is not held back for long, so that what is used can be told from it
process.env.ASAN_OPTIONS = `quarantine_size_mb=8:${process.env.ASAN_OPTIONS ?? ""}`;

const small = { a: node("t_int", { value: 3 }), o: node("t_show", { v: ["a", 0] }) };

// The longest of many small requests in a row while `work` lasts, in ms.
async function longestAnswer(server, work) {
  let longest = 0, over = false, asked = 0;
  const watch = (async () => {
    while (!over) {
      const start = performance.now();
      assert.equal((await server.call("GET", "/prompt")).status, 200);
      longest = Math.max(longest, performance.now() - start);
      asked++;
      await sleep(5);
    }
  })();
  await work();
  over = true;
  await watch;
  return { longest, asked };
}

// Half a minute inside one call into C, which no count of instructions ends.
const evil = { main: "evil.lua", files: { "evil.lua": `string.find(("a"):rep(5000), (".-"):rep(30) .. "b")` } };

test("scripts that never end hold up nobody", { timeout: 60_000 }, () =>
  Server.during(["--nodes", process.env.TUBELET_NODES], async (server) => {
    const client = await Client.open(server);
    await client.run(small); // whatever is made at first is there
    const start = () => server.call("POST", "/api/tubelet/runs", { document: { graph: small, script: evil }, client_id: client.id });
    let story;
    const { longest, asked } = await longestAnswer(server, async () => {
      const from = client.frames.length;
      story = await client.follow(await start(), from);
    });
    assert.match(story.error.exception_message, /took too long/);
    assert.ok(asked > 20, `${asked} requests were answered meanwhile`);
    assert.ok(longest < 1000, `one took ${longest} ms`); // waiting for the script would be 2000; the machine may be busy
    console.log(`# ${asked} requests while a script looped, the longest ${longest.toFixed(1)} ms`);

    const from = client.frames.length;
    const again = await start();
    await client.until((f) => f.type === "execution_start" && f.data.prompt_id === again.json.prompt_id, from);
    await server.call("POST", "/interrupt", {});
    assert.equal((await client.follow(again, from)).entry.status.messages.at(-1)[0], "execution_interrupted");
    assert.deepEqual((await client.run({ ...small, b: node("t_show", { v: ["a", 0] }) })).text("b"), ["integer 3"]);
    client.close();
  }));

test("a server stops while a script of a prompt loops", { timeout: 60_000 }, () =>
  Server.during([], async (server) => {
    const document = { graph: { a: node("constant_int", { value: 3 }) }, script: evil };
    assert.equal((await server.call("POST", "/api/tubelet/runs", { document, until: "a" })).status, 200);
    await sleep(200);
  }));

// -------------------------------------------------------------------------------------------------- the soak

// A generator of its own, so that a failure can be had again.
function randomOf(seed) {
  let s = seed >>> 0;
  const next = (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * n);
  };
  return { below: next, of: (list) => list[next(list.length)] };
}

const oddities = [null, true, -1, 0, 1e308, "", "x", "é\u0000", [], {}, ["a"], ["a", 0], ["a", -1], ["a", 1e9], [[[[]]]], { __value__: [] },
  { __value__: { __value__: 1 } }, "9".repeat(400), 18446744073709551615n.toString(), "../../etc/passwd"];

function graphOf(r) {
  const v = r.below(20);
  return r.of([
    () => ({ a: node("t_int", { value: v }), o: node("t_show", { v: ["a", 0] }) }),
    () => ({ a: node("t_range", { count: r.below(5) }), b: node("t_add", { a: ["a", 0], b: v }), o: node("t_gather", { values: ["b", 0] }) }),
    () => ({ p: node("t_picture", { value: v / 20 }), m: node("t_mix", { a: ["p", 0], b: ["p", 0], share: v / 20 }), o: node("t_mean", { image: ["m", 0] }) }),
    () => ({ n: node("t_always", { v: r.below(8) }), w: node("t_while", { v: 1, n: ["n", 0] }), o: node("t_show", { v: ["w", 0] }) }),
    () => ({ a: node("t_int", { value: v }), f: node("t_fail", { v: ["a", 0] }), o: node("t_show", { v: ["f", 0] }) }),
    () => ({ a: node("t_always", { v }), s: node("t_slow", { v: ["a", 0] }), o: node("t_show", { v: ["s", 0] }) }),
    () => ({ x: node("t_real", { v: v / 3 }), o: node("t_show", { v: ["x", 0] }) }),
    () => ({ a: node("empty_latent", { width: 16, height: 16 }), o: node("t_end", { v: ["a", 0] }) }),
  ])();
}

// One thing somewhere inside is replaced, dropped or doubled.
function bend(value, r) {
  let at = value;
  for (;;) {
    const keys = Object.keys(at);
    if (!keys.length) return value;
    const key = r.of(keys);
    if (at[key] && typeof at[key] === "object" && r.below(3)) {
      at = at[key];
      continue;
    }
    const how = r.below(3);
    if (how === 0) at[key] = r.of(oddities);
    else if (how === 1) delete at[key];
    else at[r.of(oddities)?.toString() ?? "null"] = at[key];
    return value;
  }
}

function damage(text, r) {
  const at = r.below(text.length + 1);
  return r.of([
    () => text.slice(0, at),
    () => text.slice(0, at) + r.of(["{", "]", '"', "\\", ",", "\u0001", "nan", "1e999", "[".repeat(5000)]) + text.slice(at),
    () => text.slice(0, at) + text.slice(at + 1 + r.below(10)),
    () => text + text,
  ])();
}

function bodyOf(body, r) {
  const how = r.below(4);
  if (how >= 2) return JSON.stringify(body); // as it is
  const bent = JSON.stringify(bend(structuredClone(body), r));
  return how ? bent : damage(bent, r);
}

const operations = {
  prompt: (r, c) => ["POST", "/prompt", bodyOf({ prompt: graphOf(r), client_id: c.id, ...(r.below(5) ? {} : { front: true }) }, r)],
  queue: (r) => (r.below(3) ? ["GET", "/queue"] : ["POST", "/queue", bodyOf(r.of([{ clear: true }, { delete: ["x", "y"] }]), r)]),
  history: (r) => r.of([["GET", "/history?max_items=5"], ["GET", "/history/nobody"], ["GET", `/history?max_items=${r.below(9) - 3}&offset=${r.below(9) - 3}`],
    ["POST", "/history", bodyOf({ delete: ["nobody"] }, r)]]),
  interrupt: (r) => ["POST", "/interrupt", r.below(2) ? undefined : bodyOf({ prompt_id: "nobody" }, r)],
  view: (r) => ["GET", `/view?filename=${encodeURIComponent(r.of(["up.png", "../x", "", "a\u0001b", "up (1).png"]))}&type=${r.of(["input", "output", "temp", "etc"])}`],
  info: (r) => ["GET", r.of(["/object_info/t_mix", "/object_info/KSampler", "/object_info/nothing", "/api/jobs?limit=3", "/system_stats", "/object_info"])],
  lua: (r) => ["POST", "/api/tubelet/check", bodyOf({ document: { graph: graphOf(r) } }, r)],
  upload: (r) => {
    const form = new FormData();
    form.append(r.of(["image", "image", "image", "other"]), new Blob([r.of(["not a picture", "", "x".repeat(70000)])]), r.of(["up.png", "..", "a/b.png", "é.png"]));
    form.append("subfolder", r.of(["", "a", "../..", "a/b"]));
    form.append("overwrite", r.of(["true", "false", "maybe"]));
    return ["POST", "/upload/image", form];
  },
};

async function hammer(server, seed, until, counts) {
  const r = randomOf(seed);
  let client = await Client.open(server, `hammer ${seed}`);
  while (performance.now() < until) {
    const name = r.of(["prompt", "prompt", "prompt", ...Object.keys(operations)]);
    const [method, path, body] = operations[name](r, client);
    const answer = await fetch(server.host + path, { method, body, signal: AbortSignal.timeout(20_000) }).catch((e) => {
      throw new Error(`${method} ${path} ${body}: ${e.message} ${e.cause?.message}`);
    });
    await answer.arrayBuffer();
    counts[answer.status] = (counts[answer.status] ?? 0) + 1;
    assert.ok(answer.status < 500, `${method} ${path} ${body}: ${answer.status}`);
    if (r.below(15) === 0) {
      client.socket.send(r.of(["{}", "x", JSON.stringify({ type: "feature_flags", data: { progress_full: true } }), "[".repeat(100)]));
      if (r.below(2)) {
        r.below(2) ? client.close() : client.socket.terminate();
        client = await Client.open(server, `hammer ${seed}`);
      }
    }
  }
  client.close();
}

async function resident(server) {
  const status = await readFile(`/proc/${server.process.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024; // MiB
}

async function isEmptied(server) {
  await server.call("POST", "/queue", { clear: true });
  await server.call("POST", "/interrupt");
  const patience = performance.now() + 30_000;
  while ((await server.call("GET", "/prompt")).json.exec_info.queue_remaining) {
    if (performance.now() > patience) return false;
    await sleep(50);
  }
  return true;
}

async function soak(server, seed) {
  const counts = {};
  const until = performance.now() + seconds * 1000;
  const middle = sleep(seconds * 500).then(() => resident(server));
  await Promise.all([1, 2, 3, 4, 5, 6].map((k) => hammer(server, seed * 10 + k, until, counts)));
  assert.ok(await isEmptied(server), "a prompt is stuck");
  const client = await Client.open(server);
  assert.deepEqual((await client.run(small)).text("o"), ["integer 3"]);
  client.close();
  const half = await middle, end = await resident(server);
  console.log(`# seed ${seed}: ${JSON.stringify(counts)}, ${half.toFixed(0)} MiB half way, ${end.toFixed(0)} MiB at the end`);
  assert.ok(end < half + 50 + seconds / 2, `${half} MiB became ${end}`);
}

test("six clients that send anything do no harm", { timeout: seconds * 1000 + 120_000 }, () => {
  const seed = Number(process.env.TUBELET_SOAK_SEED ?? Date.now() % 100000);
  return Server.during(["--nodes", process.env.TUBELET_NODES], async (server) => {
    try {
      await soak(server, seed);
    } catch (e) {
      throw new Error(`seed ${seed}: ${e.message} ${e.cause?.message ?? ""} ${server.said}`, { cause: e });
    }
  });
});
