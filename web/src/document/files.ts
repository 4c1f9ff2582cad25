// files.ts - opening, saving and exporting graphs.

import { api, ApiError, type GraphDocument, type GraphError, type Json, type OpenedGraph } from "../api";
import { select } from "../canvas/selection";
import { fitDrawn } from "../canvas/viewport";
import { nodeType } from "../catalog";
import { ask } from "../dialogs/dialogs";
import { writeJson } from "../json";
import { announce, announceError } from "../page/announce";
import { download } from "../page/download";
import { dismiss, notify } from "../page/notices";
import { log } from "../runs/log";
import { currentDocument, edit, openDocument, type Opening } from "./actions";
import { fromApi, toComfyApi } from "./convert";
import { dropDraft, offerDraft } from "./drafts";
import { rebase, settle } from "./rebase";
import { currentDoc, isDirty, missingParams, session, type Origin } from "./session";
import { resumeUnsaved, switchTo } from "./switch";
import { noteChange, patchOpened, restoreTabs, tabOfPath, tabs } from "./tabs";

export const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** A failure: told in the log, and spoken. */
function tell(what: string, reason: unknown): void {
  const text = `${what}: ${(reason as Error).message}`;
  log("error", text);
  announceError(text);
  notify({ id: "file", kind: "error", text });
}

// -------------------------------------------------------------------------------------------------------------- open

function originOf(opened: OpenedGraph): Origin {
  const { path, etag, doc, params, values, source, saved } = opened;
  return { name: baseName(path), path, etag, doc, params: params ?? [], values: values ?? {}, source, saved };
}

/** Nodes that cannot run here are named as soon as the graph is open. */
function tellUnknown(): void {
  dismiss("unknown");
  const doc = currentDoc();
  if (doc.script != null) return;
  const unknown = [...doc.nodes.values()].filter((node) => !nodeType(node.type));
  const types = [...new Set(unknown.map((node) => node.type))];
  if (types.length === 0) return;
  notify({
    id: "unknown",
    kind: "warning",
    text:
      `This server has no ${types.length === 1 ? "node type" : "node types"} ${types.join(", ")}: ` +
      "what is of that kind is kept and saved as it is, but does not run.",
    actions: [{ label: "Show", run: () => select(unknown.map((node) => node.id)) }],
  });
}

const nothing: GraphDocument = { graph: {} };

/** What was opened: all there, with something to fill in first, or without a graph, which is an error. */
function tellOpened(origin: Origin, { document, errors = [] }: { document?: unknown; errors?: GraphError[] }): void {
  const missing = missingParams(origin);
  const error = errors[0]?.text ?? errors[0]?.message ?? (missing.length === 0 ? "its script made none" : undefined);
  if (missing.length > 0) announce(`Opened ${origin.name}, which needs ${missing.join(", ")}.`);
  else if (document) announce(`Opened ${origin.name}.`);
  if (!document && error) tell(`${origin.name} has no graph`, new Error(error));
}

export function rememberOpen(path: string | undefined): void {
  history.replaceState(null, "", path ? `#graphs/${path}` : location.pathname + location.search);
  if (path) localStorage.setItem("tubelet.last", path);
}

/** A graph below the graphs folder; one that is open already is only shown. */
export async function openPath(path: string): Promise<boolean> {
  const at = tabOfPath(path);
  if (at < 0 || at === tabs.get().current) return loadPath(path);
  await switchTo(at);
  return true;
}

function showOpened(opened: OpenedGraph, how: Opening): void {
  const origin = originOf(opened);
  openDocument(opened.document ?? nothing, origin, how);
  rememberOpen(opened.path);
  dismiss("file");
  dismiss("changed");
  tellUnknown();
  offerDraft(origin, (draft) => edit(() => fromApi(draft)));
  tellOpened(origin, opened);
}

/** The file as it is on disk now. */
export async function loadPath(path: string, how: Opening = {}): Promise<boolean> {
  try {
    showOpened(await api.graph(path), how);
    return true;
  } catch (reason) {
    tell(`${path} was not opened`, reason);
    return false;
  }
}

/** Any file a person has: a graph of ours or ComfyUI's, or a picture or video that carries one. */
export async function openFile(file: File): Promise<void> {
  try {
    const opened = await api.open(file, file.name);
    const { document, name, doc, params, values, source, warnings } = opened;
    openDocument(document ?? nothing, {
      name: name || file.name,
      doc,
      params: params ?? [],
      values: values ?? {},
      source,
    });
    rememberOpen(undefined);
    dismiss("file");
    for (const warning of warnings) log("warning", warning);
    if (warnings.length > 0) notify({ id: "file", kind: "warning", text: warnings.join(" ") });
    tellUnknown();
    tellOpened(session.get().origin, opened);
  } catch (reason) {
    tell(`${file.name} was not opened`, reason);
  }
}

/** A graph that comes with the program; one of that name in the graphs folder goes first. */
export async function openExample(name: string): Promise<void> {
  const [{ graphs }, { examples }] = await Promise.all([api.graphs(), api.examples()]);
  const example = examples.find((entry) => entry.name === name);
  if (graphs.some(({ path }) => path === name)) await openPath(name);
  else if (example) await openFile(new File([example.source], name));
}

/** The graph the address names; undefined: none. */
const namedGraph = () => decodeURIComponent(location.hash).match(/^#graphs\/(.+)/)?.[1];

/** Follows an address that is typed, or a link that is pressed. */
export function watchAddress(): void {
  addEventListener("hashchange", () => {
    const path = namedGraph();
    if (path && path !== session.get().origin.path) void openPath(path);
  });
}

/** What to show first: the graph the address names, the one that was shown, the last one, or the plainest one. */
export async function openFirst(): Promise<void> {
  const named = namedGraph();
  const again = restoreTabs(named);
  if (named && (await loadPath(named))) return;
  if (again && resumeUnsaved()) return;
  const { graphs } = await api.graphs();
  const last = localStorage.getItem("tubelet.last");
  const found = [last, "text_to_video.lua"].find((path) => graphs.some((graph) => graph.path === path));
  if (found) await openPath(found);
}

// -------------------------------------------------------------------------------------------------------------- save

function editedName(path: string): string {
  return path.replace(/(_edited)?\.\w+$/, "_edited.lua");
}

async function askPath(title: string, text: string, suggested: string): Promise<string | null> {
  const answer = await ask({
    title,
    text,
    line: { label: "File below the graphs folder", value: suggested },
    choices: [{ id: "save", label: "Save", kind: "primary" }],
  });
  if (!answer || !answer.line.trim()) return null;
  const path = answer.line.trim();
  return /\.(lua|json)$/.test(path) ? path : `${path}.lua`;
}

/** Where to save, and whether the file that is there is known to be ours. */
async function saveTarget(origin: Origin): Promise<{ path: string; etag?: string } | null> {
  if (!origin.path) {
    const path = await askPath("Save", "The graph is saved as Lua that runs from the command line, too.", "graph.lua");
    return path ? { path } : null;
  }
  if (origin.saved) return { path: origin.path, etag: origin.etag };
  const path = await askPath(
    "Save as a new file",
    origin.path.endsWith(".json")
      ? `${origin.name} is a workflow as ComfyUI's editor draws it: its notes and widgets would be lost.`
      : `${origin.name} is a program: its parameters and loops would be lost if the plain list of nodes replaced it.`,
    editedName(origin.path),
  );
  return path ? { path, etag: path === origin.path ? origin.etag : undefined } : null;
}

/** The write under way. */
let writing: Promise<unknown> = Promise.resolve();

async function put(path: string, etag: string | undefined): Promise<void> {
  const doc = currentDoc();
  const { origin, opened } = session.get();
  const asked = api.saveGraph(path, { document: currentDocument(), doc: origin.doc, etag });
  writing = asked.catch(() => undefined);
  const saved = await asked;
  dropDraft(origin);
  patchOpened(opened, (now) => ({
    ...now,
    clean: doc,
    built: doc,
    origin: { ...untangled(origin), name: baseName(saved.path), path: saved.path, etag: saved.etag },
  }));
  if (session.get().opened === opened) rememberOpen(saved.path);
  dismiss("changed");
  dismiss("file");
  announce(`Saved ${saved.path}.`);
}

/** The saved file is literal: it has no parameters, and its text is not known here. */
const untangled = (origin: Origin): Origin => ({
  ...origin,
  params: [],
  values: {},
  source: undefined,
  saved: true,
});

async function resolveConflict(path: string, exists: boolean): Promise<void> {
  const answer = await ask({
    title: exists ? "There is such a file" : "The file has changed on disk",
    text: exists
      ? `${path} is there already. Replace it?`
      : `${path} is another file now than the one that was opened. Which one is to stay?`,
    choices: [
      { id: "overwrite", label: exists ? "Replace it" : "Overwrite with mine", kind: "danger" },
      ...(exists ? [] : [{ id: "reload", label: "Reload from disk" }]),
    ],
  });
  if (answer?.choice === "reload") await loadPath(path);
  if (answer?.choice === "overwrite") await put(path, (await api.graph(path)).etag);
}

export async function save(): Promise<void> {
  try {
    const target = await saveTarget(session.get().origin);
    if (!target) return;
    try {
      await put(target.path, target.etag);
    } catch (reason) {
      if (!(reason instanceof ApiError) || reason.status !== 409) throw reason;
      await resolveConflict(target.path, reason.code === "exists");
    }
  } catch (reason) {
    tell("Not saved", reason);
  }
}

const stem = () => session.get().origin.name.replace(/\.\w+$/, "");

export async function downloadLua(): Promise<void> {
  try {
    const { source } = await api.lua(currentDocument(), session.get().origin.doc);
    download(`${stem()}.lua`, new Blob([source], { type: "text/x-lua" }));
  } catch (reason) {
    tell("Not exported", reason);
  }
}

export function downloadApi(): void {
  const text = `${writeJson(toComfyApi(currentDoc(), nodeType), 2)}\n`;
  download(`${stem()}.json`, new Blob([text], { type: "application/json" }));
}

// ------------------------------------------------------------------------------------------------- graphs that are Lua

let building: AbortController | undefined;

/** The graph with other values of its parameters; edits made by hand stay. */
export async function build(values: Record<string, Json>): Promise<void> {
  const { origin } = session.get();
  const from = origin.path ? { path: origin.path } : { source: origin.source ?? "" };
  session.set((now) => ({ ...now, origin: { ...now.origin, values } }));
  building?.abort();
  const mine = new AbortController();
  building = mine;
  try {
    const { document } = await api.build(from, values, { signal: mine.signal });
    if (mine.signal.aborted) return;
    const { built } = session.get();
    const next = fromApi(document);
    edit((mine) => settle(built, mine, next, rebase(built, mine, next)), "parameters");
    session.set((now) => ({ ...now, built: next }));
    if (built.nodes.size === 0) fitDrawn();
    dismiss("build");
  } catch (reason) {
    if (mine.signal.aborted) return;
    notify({ id: "build", kind: "error", text: (reason as Error).message });
  }
}

function tellChanged(path: string): void {
  notify({
    id: "changed",
    kind: "warning",
    text: `${path} changed on disk, and here too.`,
    actions: [
      { label: "Reload from disk", run: () => void loadPath(path) },
      { label: "Keep mine", run: () => dismiss("changed") },
    ],
  });
}

/** What is untouched follows its file. What a hand does until the file is read is not thrown away. */
async function reload(path: string): Promise<void> {
  const before = currentDoc();
  try {
    const opened = await api.graph(path);
    const { origin } = session.get();
    if (origin.path !== path || origin.etag === opened.etag) return;
    if (currentDoc() !== before) {
      tellChanged(path);
      return;
    }
    showOpened(opened, {});
    log("info", `${path} changed on disk and was loaded again.`);
  } catch (reason) {
    tell(`${path} changed on disk and was not opened`, reason);
  }
}

/** A file in the graphs folder changed on disk; etag null: it is gone. */
export async function fileChanged(path: string, etag: string | null): Promise<void> {
  await writing; // news of our own write may come before its answer
  const { origin } = session.get();
  if (origin.path !== path) noteChange(path, etag);
  if (origin.path !== path || origin.etag === etag) return;
  if (etag === null) {
    session.set((now) => ({ ...now, origin: { ...now.origin, etag: undefined, saved: true } }));
    notify({ id: "changed", kind: "warning", text: `${path} is gone from the disk; saving writes it anew.` });
  } else if (isDirty()) tellChanged(path);
  else await reload(path);
}
