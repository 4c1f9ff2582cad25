// The events socket: previews, gaps, and connecting again.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { connectEvents, parsePreview } from '../../web/src/runs/events.ts';

function frame(node, { version = 1, kind = 1, run = 7 } = {}) {
  const id = new TextEncoder().encode(node);
  const bytes = new Uint8Array(8 + id.length + 3);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint8(1, kind);
  view.setUint16(2, id.length);
  view.setUint32(4, run);
  bytes.set(id, 8);
  bytes.set([1, 2, 3], 8 + id.length);
  return bytes.buffer;
}

test('a preview has its node, its run and its picture', async () => {
  const preview = parsePreview(frame('sample/schritt_\u00fc'));
  assert.equal(preview.node, 'sample/schritt_\u00fc');
  assert.equal(preview.run, 7);
  assert.equal(preview.kind, 'image/jpeg');
  assert.deepEqual([...new Uint8Array(await preview.blob.arrayBuffer())], [1, 2, 3]);
  assert.equal(parsePreview(frame('a', { kind: 2 })).kind, 'image/png');
});

test('a frame that is not one of ours is nothing', () => {
  assert.equal(parsePreview(new ArrayBuffer(3)), null);
  assert.equal(parsePreview(frame('a', { version: 2 })), null);
  assert.equal(parsePreview(frame('a', { kind: 9 })), null);
  assert.equal(parsePreview(frame('a long name').slice(0, 12)), null);
});

const real = { setTimeout, clearTimeout, now: Date.now };

afterEach(() => {
  Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  Date.now = real.now;
});

/** Time that passes when it is told to. */
function clock() {
  let now = 0;
  let timers = [];
  Date.now = () => now;
  globalThis.setTimeout = (call, ms) => {
    const timer = { call, at: now + ms };
    timers.push(timer);
    return timer;
  };
  globalThis.clearTimeout = (timer) => (timers = timers.filter((other) => other !== timer));
  return (ms) => {
    now += ms;
    const due = timers.filter((timer) => timer.at <= now);
    timers = timers.filter((timer) => timer.at > now);
    for (const { call } of due) call();
  };
}

/** What the socket needs of a page, with sockets that the test opens and closes. */
function page() {
  const sockets = [];
  class Socket {
    constructor(url, protocol) {
      Object.assign(this, { url, protocol });
      sockets.push(this);
    }
    close() {
      this.onclose();
    }
    say(event) {
      this.onmessage({ data: JSON.stringify(event) });
    }
  }
  Object.assign(globalThis, {
    location: { href: 'https://host:1/' },
    WebSocket: Socket,
    addEventListener() {},
    removeEventListener() {},
  });
  return sockets;
}

function connected() {
  const tick = clock();
  const sockets = page();
  const events = [];
  const states = [];
  const socket = connectEvents({ event: (e) => events.push(e), preview() {}, connection: (c) => states.push(c) });
  return { sockets, events, states, socket, tick };
}

test('events follow each other; a gap ends in a new connection', () => {
  const { sockets, events, socket, tick } = connected();
  assert.equal(sockets[0].url, 'wss://host:1/api/tubelet/events');
  assert.equal(sockets[0].protocol, 'events');
  sockets[0].onopen();
  sockets[0].say({ seq: 0, type: 'snapshot', queue: [] });
  sockets[0].say({ seq: 1, type: 'queue', queue: [] });
  sockets[0].say({ seq: 3, type: 'queue', queue: [] });
  assert.deepEqual(events.map((e) => e.seq), [0, 1]);
  tick(500);
  assert.equal(sockets.length, 2);
  sockets[1].onopen();
  sockets[1].say({ seq: 9, type: 'snapshot', queue: [] });
  sockets[1].say({ seq: 10, type: 'queue', queue: [] });
  assert.deepEqual(events.map((e) => e.seq), [0, 1, 9, 10]);
  socket.close();
});

test('waits double up to ten seconds, and a retry is made at once when asked for', () => {
  const { sockets, states, socket, tick } = connected();
  for (const wait of [500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
    sockets.at(-1).onclose();
    assert.equal(states.at(-1).retryAt - Date.now(), wait);
    const before = sockets.length;
    tick(wait - 1);
    assert.equal(sockets.length, before);
    tick(1);
    assert.equal(sockets.length, before + 1);
  }
  sockets.at(-1).onclose();
  socket.retry();
  assert.deepEqual(states.at(-1), { connected: false, retryAt: null });
  sockets.at(-1).onopen();
  assert.deepEqual(states.at(-1), { connected: true, retryAt: null });
  sockets.at(-1).onclose();
  assert.equal(states.at(-1).retryAt - Date.now(), 500);
  socket.close();
});
