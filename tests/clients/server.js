// server.js - a server of its own for a test file, and a client that follows prompts over HTTP and WebSocket.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const WebSocket = createRequire(require.resolve("@saintno/comfyui-sdk"))("ws");

export class Server {
  // more: further arguments of `tubelet serve`
  static async start(...more) {
    const s = new Server();
    s.folder = await mkdtemp(join(tmpdir(), "tubelet-server-"));
    const args = ["serve", "--port", "0", "--base", s.folder, "--store", join(s.folder, "store"), ...more];
    s.process = spawn(process.env.TUBELET_BIN, args, { stdio: ["ignore", "pipe", "pipe"] });
    s.said = "";
    s.process.stderr.on("data", (bytes) => (s.said += bytes));
    s.host = await new Promise((resolve, reject) => {
      let out = "";
      s.process.stdout.on("data", (bytes) => {
        out += bytes;
        const url = /tubelet is at (http:\/\/\S+?)\/\s/.exec(out);
        if (url) resolve(url[1]);
      });
      s.process.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${out}${s.said}`)));
    });
    s.process.removeAllListeners("exit");
    s.ended = new Promise((resolve) => s.process.on("exit", (code, signal) => resolve(signal ?? code)));
    s.ended.then((code) => code && console.error(`the server ended with ${code}: ${s.said}`));
    return s;
  }

  // Start one for fn and stop it however that ends; a clean end is part of the test.
  static async during(args, fn) {
    const server = await Server.start(...args);
    try {
      await fn(server);
    } catch (e) {
      server.process.kill("SIGKILL");
      throw e;
    }
    const code = await server.stop();
    if (code !== 0) throw new Error(`the server ended with ${code}: ${server.said}`);
  }

  // Its exit code; 0 is a clean end, also for the sanitizers.
  async stop() {
    this.process.kill("SIGTERM");
    const code = await this.ended;
    await rm(this.folder, { recursive: true, force: true });
    return code;
  }

  // The parsed answer, with its status; body: an object, or text as it is sent.
  async call(method, path, body) {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const r = await fetch(this.host + path, { method, body: text });
    const answer = await r.text();
    let json;
    try {
      json = JSON.parse(answer);
    } catch {
      json = null; // empty or plain text
    }
    return { status: r.status, text: answer, json };
  }
}

// What a client has seen of one prompt.
class Story {
  constructor(posted, frames, entry) {
    this.posted = posted;
    this.frames = frames;
    this.entry = entry;
  }
  of(type) {
    return this.frames.filter((f) => f.type === type).map((f) => f.data);
  }
  // Nodes of the graph that did run.
  get ran() {
    return [...new Set(this.of("executing").filter((d) => d.node !== null).map((d) => d.display_node))].sort();
  }
  get cached() {
    return this.of("execution_cached").flatMap((d) => d.nodes).sort();
  }
  get error() {
    return this.of("execution_error")[0] ?? null;
  }
  get outputs() {
    return this.entry.outputs;
  }
  text(node) {
    return this.outputs[node]?.text;
  }
}

export class Client {
  static async open(server, id = randomUUID()) {
    const c = new Client();
    c.server = server;
    c.id = id;
    c.frames = [];
    c.waiting = [];
    c.socket = new WebSocket(`${server.host.replace("http", "ws")}/ws?clientId=${id}`);
    c.socket.on("message", (data, binary) => {
      if (binary) return;
      c.frames.push(JSON.parse(data));
      for (const check of c.waiting.splice(0)) check();
    });
    await new Promise((resolve, reject) => c.socket.on("open", resolve).on("error", reject));
    return c;
  }

  close() {
    this.socket.close();
  }

  post(prompt, more = {}) {
    return this.server.call("POST", "/prompt", { prompt, client_id: this.id, ...more });
  }

  // The first frame from place `from` on that test() accepts; waits for it.
  async until(test, from = 0) {
    for (let at = from; ; at++) {
      while (at >= this.frames.length) await new Promise((resolve) => this.waiting.push(resolve));
      if (test(this.frames[at])) return at;
    }
  }

  // Follow a prompt that was posted to its end. from: where its frames begin.
  async follow(posted, from) {
    const id = posted.json.prompt_id;
    const end = await this.until((f) => f.type === "executing" && f.data.node === null && f.data.prompt_id === id, from);
    const history = await this.server.call("GET", `/history/${id}`); // it is there at once
    const own = this.frames.slice(from, end + 1).filter((f) => f.data.prompt_id === id);
    return new Story(posted.json, own, history.json[id]);
  }

  async run(prompt, more) {
    const from = this.frames.length;
    const posted = await this.post(prompt, more);
    if (posted.status !== 200) throw new Error(`refused: ${posted.text}`);
    return this.follow(posted, from);
  }
}

// A node of a graph.
export function node(class_type, inputs = {}, title) {
  return title ? { class_type, inputs, _meta: { title } } : { class_type, inputs };
}
