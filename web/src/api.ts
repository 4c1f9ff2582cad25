// api.ts - the routes of docs/api.md, typed. Nothing else in the editor calls fetch.

import { parseJson, writeJson } from "./json";

// ----------------------------------------------------------------------------------------------------------- documents

/** A link to output `[node id, output index]`. */
export type Link = [string, number];
/** A whole number that JavaScript would round is a bigint: json.ts. */
export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };
export type InputValue = Json | Link;

export interface NodeMeta {
  title?: string;
  /** `file.lua:12`: where a script made the node. */
  origin?: string;
  mode?: "mute" | "bypass";
  pos?: [number, number];
  size?: [number, number];
  collapsed?: boolean;
  pinned?: boolean;
  colour?: string;
  /** By input: where its link is led through, from the source on. */
  bends?: Record<string, [number, number][]>;
}

export interface GraphNode {
  class_type: string;
  inputs: Record<string, InputValue>;
  _meta?: NodeMeta;
}

export type Graph = Record<string, GraphNode>;

export interface Group {
  id: string;
  title: string;
  box: [number, number, number, number];
  colour?: string;
}

export interface DocumentView {
  groups?: Group[];
  folded?: Record<string, boolean>;
}

/** What is saved, planned and run. `script` is opaque and passed on. */
export interface GraphDocument {
  graph: Graph;
  targets?: string[];
  script?: Json;
  view?: DocumentView;
}

export function isLink(value: unknown): value is Link {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "number";
}

// ---------------------------------------------------------------------------------------------------------- node types

export interface NodeInput {
  name: string;
  /** One type, several with commas between, or `*`. */
  type: string;
  doc?: string;
  default?: Json;
  min?: number | bigint;
  max?: number | bigint;
  unit?: string;
  choices?: string[];
  required?: boolean;
  optional?: boolean;
  multiline?: boolean;
  /** The value is known before the run: no link from a computed output. */
  literal?: boolean;
  lazy?: boolean;
  list?: boolean;
  /** Not part of the key: changing it recomputes nothing. */
  unkeyed?: boolean;
  /** A path of a file. */
  file?: boolean;
  upload?: boolean;
  /** Kind of model files it names. */
  files?: string;
  seed?: boolean;
  /** Rarely changed: on the node only once it has a value of its own. */
  advanced?: boolean;
}

export interface NodeOutput {
  name: string;
  type: string;
  shape?: string;
  doc?: string;
  list?: boolean;
}

export interface NodeType {
  name: string;
  kind: "primitive" | "composite" | "alias" | "lua";
  version: string;
  title?: string;
  category?: string;
  doc?: string;
  example?: string;
  /** Running a graph without targets runs these. */
  target?: boolean;
  inputs: NodeInput[];
  outputs: NodeOutput[];
}

/** A parameter of a Lua graph. */
export interface Param {
  name: string;
  type: string;
  default?: Json;
  min?: number | bigint;
  max?: number | bigint;
  choices?: string[];
  doc?: string;
  required?: boolean;
  optional?: boolean;
  /** A STRING that names a file or folder. */
  path?: boolean;
}

// --------------------------------------------------------------------------------------------------------------- runs

/** One error of a graph: `message` the bare sentence, `text` with its place, `reason` a name for programs. */
export interface GraphError {
  node?: string;
  input?: string;
  origin?: string;
  type?: string;
  message: string;
  text?: string;
  reason?: string;
}

export interface PlanSummary {
  nodes: number;
  cached: number;
  run: number;
  unknown: number;
  /** null: nothing is known. */
  seconds: number | null;
  seconds_complete: boolean;
  peak_bytes: number;
  memory_limit: number;
}

export interface PlanNode {
  node: string;
  type: string;
  state: "cached" | "run" | "unknown";
  seconds: number | null;
  bytes: number;
  shape?: string;
  key?: string;
}

export interface Plan {
  /** null: there are errors. */
  summary: PlanSummary | null;
  nodes: PlanNode[];
  /** Stored results that nothing waits for: what they feed is stored as well. */
  stored: { node: string; type: string; key: string }[];
  expanded: Graph;
  errors: GraphError[];
}

export type RunState = "pending" | "running" | "done" | "failed" | "canceled";

export interface OutputFile {
  node: string;
  filename: string;
  subfolder: string;
  type: string;
  kind: string;
  key?: string;
  /** The file in the output folder; a later run may overwrite it. */
  url: string;
  /** The stored bytes of this very run. */
  result_url?: string;
}

export interface Run {
  prompt_id: string;
  /** The store's number; 0 or absent before it runs. */
  run?: number;
  title?: string;
  state: RunState;
  number: number;
  position?: number;
  created_ms: number;
  started_ms?: number;
  ended_ms?: number;
  nodes_total?: number;
  nodes_cached?: number;
  nodes_run?: number;
  outputs?: OutputFile[];
  error?: GraphError;
}

export interface RunNode {
  node: string;
  type: string;
  key?: string;
  state: string;
  ms?: number;
}

export interface RunDetail extends Run {
  document: GraphDocument;
  /** null: it cannot be planned any more. */
  expanded?: Graph | null;
  nodes?: RunNode[];
}

export interface RunRequest {
  document: GraphDocument;
  title?: string;
  until?: string;
  front?: boolean;
  no_cache?: boolean;
  client_id?: string;
}

export interface RunReceipt {
  prompt_id: string;
  number: number;
  errors?: GraphError[];
}

/** A stored denoising step; `scope` is the sampling node. */
export interface Step {
  scope: string;
  /** From 0: the latent after `step + 1` steps. */
  step: number;
  /** Of the whole schedule. */
  steps: number;
  node: string;
  key: string;
  ms?: number;
  /** Noise that is left after it: of a flow sigma, 1 to 0. */
  sigma?: number;
  /** What the model was told in it, 0 to 1000. */
  timestep?: number;
}

export interface Fork {
  document: GraphDocument;
  /** Id of the half that comes from the store. */
  first: string;
  /** Id of the half that is there to be changed. */
  second: string;
}

// -------------------------------------------------------------------------------------------------------------- store

export interface Result {
  key: string;
  type: string;
  bytes: number;
  cost_ms: number;
  created_ms: number;
  used_ms: number;
  pinned: boolean;
}

export interface ResultOutput {
  name: string;
  type: string;
  kind: string;
  shape?: number[] | string;
  dtype?: string;
  bytes: number;
  text?: string;
}

export interface ResultDetail extends Result {
  outputs: ResultOutput[];
  frames: number;
  viewable: boolean;
}

export interface StoreStats {
  results: number;
  blobs: number;
  bytes: number;
  cap_bytes: number;
  pinned: number;
}

export type ResultOrder = "used" | "created" | "bytes" | "cost";

export interface ServerInfo {
  version: string;
  numeric_class: string;
  threads: number;
  memory: { limit: number; available: number };
  store: { path: string; bytes: number; cap: number; results: number };
  roots: Record<"graphs" | "input" | "output" | "temp", string> & { models: string[] };
  upload_cap: number;
}

export interface GraphFile {
  path: string;
  kind: "lua" | "json";
  bytes: number;
  modified_ms: number;
}

export interface OpenedGraph {
  path: string;
  kind: "lua" | "json";
  etag: string;
  modified_ms: number;
  doc?: string;
  params?: Param[];
  values?: Record<string, Json>;
  /** null: it cannot be built yet, the errors say why. */
  document: GraphDocument | null;
  errors?: GraphError[];
  source?: string;
  /** Saving the document over the file would lose nothing. */
  saved: boolean;
}

export interface OpenedFile {
  /** null: it cannot be built yet, the errors say why. */
  document: GraphDocument | null;
  errors?: GraphError[];
  from: "lua" | "api" | "workflow" | "media" | "document";
  name: string;
  doc?: string;
  params?: Param[];
  values?: Record<string, Json>;
  source?: string;
  warnings: string[];
}

export interface BuiltGraph {
  doc?: string;
  params?: Param[];
  values?: Record<string, Json>;
  document: GraphDocument;
}

// ------------------------------------------------------------------------------------------------------------ requests

/** Every failure of a call: `status` 0 when no server answered. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly at: { node?: string; input?: string; origin?: string } = {},
    readonly errors: GraphError[] = [],
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export interface CallOptions {
  signal?: AbortSignal;
}

const root = "/api/tubelet/";

async function errorOf(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => "");
  try {
    const { error, errors } = JSON.parse(text);
    const { origin } = error.at ?? {};
    const sentence = origin && !error.message.includes(origin) ? `${origin}: ${error.message}` : error.message;
    return new ApiError(answer.status, error.code, sentence, error.at ?? {}, errors ?? []);
  } catch {
    return new ApiError(answer.status, "http", text.trim() || `The server answered ${answer.status}.`);
  }
}

async function call(method: string, url: string, body: BodyInit | undefined, options: CallOptions): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { method, body, signal: options.signal });
  } catch (reason) {
    if (options.signal?.aborted) throw reason;
    throw new ApiError(0, "offline", "The server does not answer; see whether 'tubelet serve' is still running.");
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

/** One call: a JSON body (or a Blob as it is), a JSON answer. Rejects with ApiError, or with the signal's reason when
 *  the caller gave up. */
async function comfy<T>(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<T> {
  const content = body === undefined || body instanceof Blob ? body : writeJson(body);
  const answer = await call(method, path, content as BodyInit | undefined, options);
  const text = await answer.text();
  return (text ? parseJson(text) : undefined) as T;
}

/** The same below /api/tubelet/. */
const request = <T>(method: string, path: string, body?: unknown, options?: CallOptions) =>
  comfy<T>(method, root + path, body, options);

function query(values: Record<string, string | number | undefined>): string {
  const pairs = Object.entries(values).filter((pair): pair is [string, string | number] => pair[1] !== undefined);
  return pairs.length > 0 ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : "";
}

const encodePath = (path: string) => path.split("/").map(encodeURIComponent).join("/");
const runPath = (id: string) => `runs/${encodeURIComponent(id)}`;

export const api = {
  info: (options?: CallOptions) => request<ServerInfo>("GET", "info", undefined, options),
  nodes: (options?: CallOptions) => request<{ nodes: NodeType[] }>("GET", "nodes", undefined, options),

  examples: () => request<{ examples: { name: string; source: string }[] }>("GET", "examples"),
  graphs: () => request<{ root: string; graphs: GraphFile[] }>("GET", "graphs"),
  graph: (path: string) => request<OpenedGraph>("GET", `graphs/${encodePath(path)}`),
  /** Without `etag` a file that is there is left alone (409 `exists`); with it, one that changed is (409 `changed`). */
  saveGraph: (path: string, body: { document: GraphDocument; doc?: string; etag?: string }) =>
    request<{ path: string; etag: string }>("PUT", `graphs/${encodePath(path)}`, body),
  build: (from: { path: string } | { source: string }, params: Record<string, Json>, options?: CallOptions) =>
    request<BuiltGraph>("POST", "build", { ...from, params }, options),
  lua: (document: GraphDocument, doc?: string) => request<{ source: string }>("POST", "lua", { document, doc }),
  open: (file: Blob, name: string) => request<OpenedFile>("POST", `open${query({ name })}`, file),
  check: (document: GraphDocument, options?: CallOptions) =>
    request<{ errors: GraphError[] }>("POST", "check", { document }, options),
  plan: (document: GraphDocument, until?: string, options?: CallOptions) =>
    request<Plan>("POST", "plan", { document, until }, options),

  run: (body: RunRequest) => request<RunReceipt>("POST", "runs", body),
  /** `before`: those that ended earlier, in ms. */
  runs: (limit?: number, before?: number) =>
    request<{ runs: Run[]; more: boolean }>("GET", `runs${query({ limit, before })}`),
  runDetail: (id: string, options?: CallOptions) => request<RunDetail>("GET", runPath(id), undefined, options),
  steps: (id: string, options?: CallOptions) =>
    request<{ steps: Step[] }>("GET", `${runPath(id)}/steps`, undefined, options),
  /** Cut in two after `step` steps. */
  fork: (id: string, scope: string, step: number) => request<Fork>("POST", `${runPath(id)}/fork`, { scope, step }),
  cancel: (id: string) => request<{ canceled: boolean }>("POST", `${runPath(id)}/cancel`, {}),
  retry: (id: string) => request<RunReceipt>("POST", `${runPath(id)}/retry`, {}),
  forgetRun: (id: string) => request<void>("DELETE", runPath(id)),

  results: (order: ResultOrder, limit: number, options?: CallOptions) =>
    request<{ results: Result[]; stats: StoreStats }>("GET", `results${query({ order, limit })}`, undefined, options),
  result: (key: string, options?: CallOptions) => request<ResultDetail>("GET", `results/${key}`, undefined, options),
  pin: (key: string, pinned: boolean) => request<{ pinned: boolean }>("POST", `results/${key}/pin`, { pinned }),
  evict: (key: string) => request<void>("DELETE", `results/${key}`),
  /** Down to so many bytes; without, to the cap; 0 leaves only what is pinned or in use. */
  gc: (bytes?: number) => request<{ freed: number }>("POST", "gc", { bytes }),
  /** ComfyUI's routes: ours has none for these. */
  modelKinds: () => comfy<string[]>("GET", "/models"),
  modelFiles: (kind: string) => comfy<ModelFile[]>("GET", `/experiment/models/${encodeURIComponent(kind)}`),
  modelMetadata: (kind: string, filename: string) =>
    comfy<Json>("GET", `/view_metadata/${encodeURIComponent(kind)}${query({ filename })}`),
  systemStats: () => comfy<SystemStats>("GET", "/system_stats"),
  free: () => comfy<void>("POST", "/free", { unload_models: true, free_memory: true }),

  /** The bytes of a `previewUrl`. */
  picture: async (url: string) => (await call("GET", url, undefined, {})).blob(),
};

export type PreviewOptions = {
  /** -1: the middle one; -2: all of them, as animated WebP or GIF. */
  frame?: number;
  /** A contact sheet instead, of frames from the first to the last. */
  columns?: number;
  rows?: number;
  /** The most pixels a side of a frame has; smaller ones are enlarged to `enlarge`. */
  size?: number;
  enlarge?: number;
  format?: string;
};

/** A picture of a stored result. */
export function previewUrl(key: string, options: PreviewOptions = {}): string {
  return `${root}results/${key}/preview${query(options)}`;
}

/** A model file of one kind, below one of its folders. */
export interface ModelFile {
  name: string;
  size: number;
}

export interface SystemStats {
  system: { ram_total: number; ram_free: number };
}

/** Puts a file into the input folder, under the name the answer gives. ComfyUI's route: ours has none. */
export async function uploadInput(file: File): Promise<{ name: string; subfolder: string; type: string }> {
  const form = new FormData();
  form.append("image", file, file.name);
  form.append("type", "input");
  return (await call("POST", "/upload/image", form, {})).json();
}
