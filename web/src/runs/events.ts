// events.ts - the socket of /api/tubelet/events: snapshot first, then changes, previews as binary frames.
//
// A gap in the numbering, a broken connection or a frame that cannot be read end in a new connection, and with it a
// fresh snapshot. Retries wait 0.5 s, doubled up to 10 s.

import type { GraphError, OutputFile, PlanSummary, Run } from "../api";

export interface NodeChange {
  state: "cached" | "running" | "done" | "failed";
  share?: number;
  ms?: number;
}

export type ServerEvent =
  | {
      type: "snapshot";
      server: string;
      queue: Run[];
      running: { prompt_id: string; summary?: PlanSummary; nodes: Record<string, NodeChange> }[];
    }
  | { type: "queue"; queue: Run[] }
  | { type: "planned"; prompt_id: string; summary: PlanSummary; expanded: Record<string, [string, string]> }
  | { type: "nodes"; prompt_id: string; nodes: Record<string, NodeChange> }
  | { type: "delivered"; prompt_id: string; file: OutputFile }
  | { type: "failed"; prompt_id: string; error: GraphError }
  | { type: "warning"; text: string }
  | { type: "ended"; prompt_id: string; run: Run }
  | { type: "graph_changed"; path: string; etag: string | null }
  | { type: "log"; level: string; text: string; time_ms: number };

export interface Preview {
  node: string;
  /** The store's number of the run. */
  run: number;
  kind: "image/jpeg" | "image/png";
  blob: Blob;
}

export interface Connection {
  connected: boolean;
  /** When the next attempt is made, in Date.now()'s time; null while connected or trying. */
  retryAt: number | null;
}

export interface EventHandlers {
  event(event: ServerEvent): void;
  preview(preview: Preview): void;
  connection(connection: Connection): void;
}

export interface EventSocket {
  /** Try at once instead of waiting for the countdown. */
  retry(): void;
  close(): void;
}

const protocol = "events";
const firstWaitMs = 500;
const longestWaitMs = 10_000;

/** A binary frame (docs/api.md, "Events"); null when it is not one we know. */
export function parsePreview(frame: ArrayBuffer): Preview | null {
  if (frame.byteLength < 8) return null;
  const view = new DataView(frame);
  const kind = { 1: "image/jpeg", 2: "image/png" }[view.getUint8(1)] as Preview["kind"] | undefined;
  const end = 8 + view.getUint16(2);
  if (view.getUint8(0) !== 1 || !kind || end > frame.byteLength) return null;
  const node = new TextDecoder().decode(new Uint8Array(frame, 8, end - 8));
  return { node, run: view.getUint32(4), kind, blob: new Blob([frame.slice(end)], { type: kind }) };
}

function eventsUrl(): string {
  const url = new URL("/api/tubelet/events", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Connects and stays connected until closed. */
export function connectEvents(handlers: EventHandlers): EventSocket {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = firstWaitMs;
  let lastSeq: number | null = null;

  function receive(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      const preview = parsePreview(data);
      if (preview) handlers.preview(preview);
      return;
    }
    const event = JSON.parse(data) as ServerEvent & { seq: number };
    if (event.type !== "snapshot" && event.seq !== (lastSeq ?? 0) + 1) {
      socket?.close();
      return;
    }
    lastSeq = event.seq;
    handlers.event(event);
  }

  function open(): void {
    timer = undefined;
    lastSeq = null;
    const mine = new WebSocket(eventsUrl(), protocol);
    socket = mine;
    mine.binaryType = "arraybuffer";
    mine.onopen = () => {
      wait = firstWaitMs;
      handlers.connection({ connected: true, retryAt: null });
    };
    mine.onmessage = (message) => {
      if (mine === socket) receive(message.data);
    };
    mine.onclose = () => {
      if (mine === socket) retryLater();
    };
  }

  function retryLater(): void {
    socket = null;
    handlers.connection({ connected: false, retryAt: Date.now() + wait });
    timer = setTimeout(open, wait);
    wait = Math.min(2 * wait, longestWaitMs);
  }

  function retry(): void {
    if (timer === undefined) return;
    clearTimeout(timer);
    handlers.connection({ connected: false, retryAt: null });
    open();
  }

  open();
  addEventListener("online", retry);
  return {
    retry,
    close() {
      removeEventListener("online", retry);
      clearTimeout(timer);
      const old = socket;
      socket = null;
      old?.close();
    },
  };
}
