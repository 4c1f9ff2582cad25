// Client libraries made for ComfyUI, as they are published, against a server that was just started: each queues a
// text-to-video prompt in ComfyUI's node names, follows it over the WebSocket and fetches the video.
//
//     node --test     with TUBELET_BIN; run by tests/test_clients.sh

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const require = createRequire(import.meta.url);
const { Client, Workflow } = require("@stable-canvas/comfyui-client");
const WebSocket = createRequire(require.resolve("@saintno/comfyui-sdk"))("ws");

const steps = 3;
let server, host, folder;

function graph(seed, prefix, text = "a red ball") {
  return {
    1: { class_type: "UNETLoader", inputs: { unet_name: "tubelet-tiny", weight_dtype: "default" } },
    2: { class_type: "CLIPLoader", inputs: { clip_name: "tubelet-tiny", type: "wan", device: "default" } },
    3: { class_type: "VAELoader", inputs: { vae_name: "tubelet-tiny" } },
    4: { class_type: "CLIPTextEncode", inputs: { text, clip: ["2", 0] } },
    5: { class_type: "CLIPTextEncode", inputs: { text: "", clip: ["2", 0] } },
    6: { class_type: "EmptyHunyuanLatentVideo", inputs: { width: 32, height: 32, length: 5, batch_size: 1 } },
    7: {
      class_type: "KSampler",
      inputs: {
        seed, steps, cfg: 3.0, sampler_name: "euler", scheduler: "simple", denoise: 1.0,
        model: ["1", 0], positive: ["4", 0], negative: ["5", 0], latent_image: ["6", 0],
      },
    },
    8: { class_type: "VAEDecode", inputs: { samples: ["7", 0], vae: ["3", 0] } },
    9: { class_type: "CreateVideo", inputs: { images: ["8", 0], fps: 8.0 } },
    10: {
      class_type: "SaveVideo",
      inputs: { video: ["9", 0], filename_prefix: prefix, format: "auto", codec: "auto" },
    },
  };
}

function startServer() {
  const args = ["serve", "--port", "0", "--base", folder, "--store", join(folder, "store")];
  server = spawn(process.env.TUBELET_BIN, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let said = "";
    server.stdout.on("data", (bytes) => {
      said += bytes;
      const url = /tubelet is at (http:\/\/\S+?)\/\s/.exec(said);
      if (url) resolve(url[1]);
    });
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "tubelet-clients-"));
  host = await startServer();
});

after(async () => {
  server.removeAllListeners("exit");
  const ended = new Promise((resolve) => server.on("exit", resolve));
  server.kill("SIGTERM");
  await ended;
  await rm(folder, { recursive: true, force: true });
});

// Every MP4 begins with a box of type "ftyp".
function assertVideo(bytes) {
  assert.equal(Buffer.from(bytes).subarray(4, 8).toString(), "ftyp");
}

test("@stable-canvas/comfyui-client queues, follows and fetches", { timeout: 120_000 }, async () => {
  const client = new Client({ api_host: host.slice("http://".length), WebSocket });
  const seen = { executing: [], progress: [], files: [], previews: 0 };
  client.on("executing", (data) => seen.executing.push(data.node));
  client.on("progress", (data) => seen.progress.push(data));
  client.on("b_preview", () => seen.previews++);
  client.on("executed", (data) => seen.files.push(...data.output.images));
  client.connect();
  await new Promise((resolve) => client.once("connected", resolve));

  assert.equal((await client.getSystemStats()).devices[0].type, "cpu");
  const info = await client.getNodeDefs();
  assert.deepEqual(Object.keys(info.KSampler.input.required).slice(0, 4), ["model", "seed", "steps", "cfg"]);
  assert.ok(info.UNETLoader.input.required.unet_name[0].includes("tubelet-tiny"));
  assert.ok((await client.getSamplers()).includes("euler"));

  const told = [];
  const out = await client.enqueue(graph(1, "stable"), { progress: (p) => told.push(p) });
  assert.equal(out.images.filter((i) => i.type === "url").length, 1);
  assert.equal(seen.files[0].filename, "stable_00001_.mp4");
  assert.ok(seen.executing.includes("7") && seen.executing.includes("10"));
  const sampled = seen.progress.filter((p) => p.node === "7");
  assert.deepEqual(sampled.map((p) => p.value), [1, 2, 3]);
  assert.ok(sampled.every((p) => p.max === steps && p.prompt_id));
  assert.ok(told.length > 0);
  assert.ok(seen.previews > 0);

  // another prompt: what it does not touch is told as cached, what it does as executing, nothing as both
  let cached;
  client.on("execution_cached", (data) => (cached = data.nodes));
  seen.executing = [];
  await client.enqueue(graph(1, "other", "a blue ball"));
  assert.deepEqual(cached, ["1", "2", "3", "5", "6"]);
  assert.deepEqual(seen.executing.filter((id) => /^\d+$/.test(id)).sort(), ["10", "4", "7", "8", "9"]);

  const { filename, subfolder, type } = seen.files[0];
  const video = await fetch(client.viewURL(filename, subfolder, type));
  assert.equal(video.headers.get("content-type"), "video/mp4");
  assertVideo(await video.arrayBuffer());
  // the library goes on with the first file, which may be a moment before the prompt has ended
  while ((await client.getHistory(10)).History.length === 0) await new Promise((r) => setTimeout(r, 20));
  await client.free({ unload_models: true, free_memory: true });
  client.close();
});

test("a workflow of the same library is invoked", { timeout: 120_000 }, async () => {
  const client = new Client({ api_host: host.slice("http://".length), WebSocket });
  client.connect();
  await new Promise((resolve) => client.once("connected", resolve));
  const workflow = new Workflow();
  const cls = workflow.classes;
  const [clip] = cls.CLIPLoader({ clip_name: "tubelet-tiny", type: "wan", device: "default" });
  const encode = (text) => cls.CLIPTextEncode({ text, clip })[0];
  const [latent] = cls.EmptyHunyuanLatentVideo({ width: 32, height: 32, length: 1, batch_size: 1 });
  const [samples] = cls.KSampler({
    seed: 2 ** 53, steps: 1, cfg: 1, sampler_name: "euler", scheduler: "simple",
    denoise: 1, model: cls.UNETLoader({ unet_name: "tubelet-tiny", weight_dtype: "default" })[0],
    positive: encode("a red ball"), negative: encode(""), latent_image: latent,
  });
  const [images] = cls.VAEDecode({ samples, vae: cls.VAELoader({ vae_name: "tubelet-tiny" })[0] });
  const [video] = cls.CreateVideo({ images, fps: 8 });
  cls.SaveVideo({ video, filename_prefix: "wf", format: "auto", codec: "auto" });
  const out = await workflow.invoke(client);
  assert.equal(out.images.filter((i) => i.type === "url").length, 1);
  client.close();
});

test("@saintno/comfyui-sdk queues, follows and fetches, new and cached", { timeout: 120_000 }, async () => {
  const api = await new ComfyApi(host, undefined, { forceWs: true }).init().waitForReady();
  assert.deepEqual(await api.getExtensions(), []);
  assert.ok(Array.isArray(await api.getEmbeddings()));

  const run = async (seed) => {
    const prompt = new PromptBuilder(graph(seed, "saintno"), ["seed"], ["video"])
      .setInputNode("seed", "7.inputs.seed")
      .setOutputNode("video", "10")
      .input("seed", seed);
    const seen = { started: 0, progress: 0, previews: 0, failed: null };
    const result = await new CallWrapper(api, prompt)
      .onStart(() => seen.started++)
      .onProgress(() => seen.progress++)
      .onPreview(() => seen.previews++)
      .onFailed((e) => (seen.failed = e))
      .run();
    assert.equal(seen.failed, null);
    assert.ok(result, "the call gave a result");
    return { seen, file: result.video.images[0] };
  };
  const first = await run(7);
  assert.ok(first.seen.progress >= 1);
  assertVideo(await (await fetch(api.getPathImage(first.file))).arrayBuffer());
  const again = await run(7);
  assert.equal(again.file.filename, first.file.filename); // the very same bytes are not written twice
  assertVideo(await (await api.getImage(again.file)).arrayBuffer());
  api.destroy();
});

test("@saintno/comfyui-sdk is told of errors", { timeout: 120_000 }, async () => {
  const api = await new ComfyApi(host).init().waitForReady();
  const broken = graph(1, "broken");
  broken[7].inputs.steps = 0;
  const prompt = new PromptBuilder(broken, [], ["video"]).setOutputNode("video", "10");
  let failed;
  const result = await new CallWrapper(api, prompt).onFailed((e) => (failed = e)).run();
  assert.equal(result, false);
  assert.equal(failed.constructor.name, "Error"); // the last one told; its words come from the library
  const response = await api.queuePrompt(null, broken).catch((r) => r);
  const body = await response.json();
  assert.equal(body.node_errors[7].errors[0].message, "Value 0 smaller than min of 1");
  api.destroy();
});

test("a client that reads them gets previews with their node", { timeout: 120_000 }, async () => {
  const ws = new WebSocket(`${host.replace("http", "ws")}/ws?clientId=named`);
  await new Promise((resolve) => ws.on("open", resolve));
  ws.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
  const frames = [];
  const ended = new Promise((resolve) => {
    ws.on("message", (data, binary) => {
      if (binary) frames.push(data);
      else if (JSON.parse(data).type === "executing" && JSON.parse(data).data.node === null) resolve();
    });
  });
  const body = JSON.stringify({ prompt: graph(99, "named"), client_id: "named" });
  const { prompt_id } = await (await fetch(`${host}/prompt`, { method: "POST", body })).json();
  await ended;
  ws.close();
  assert.ok(frames.length > 0);
  for (const frame of frames) {
    assert.equal(frame.readUInt32BE(0), 4);
    const size = frame.readUInt32BE(4);
    const meta = JSON.parse(frame.subarray(8, 8 + size));
    assert.equal(meta.prompt_id, prompt_id);
    assert.equal(meta.image_type, "image/jpeg");
    assert.ok(meta.node_id.startsWith(`${meta.display_node_id}/`));
    assert.equal(meta.real_node_id, meta.display_node_id);
    assert.equal(frame.readUInt16BE(8 + size), 0xffd8); // a JPEG begins
  }
});

test("uploads arrive", { timeout: 60_000 }, async () => {
  const api = await new ComfyApi(host).init().waitForReady();
  const answer = await api.uploadImage(Buffer.from("not a picture"), "up.png", { subfolder: "a" });
  assert.equal(answer.info.filename, "up.png");
  assert.equal(await (await fetch(answer.url)).text(), "not a picture");
  api.destroy();
});
