// fingers.ts - a finger is 24 pixels wide at any zoom: what it puts down beside a socket, no further than that, is
// meant for the nearest one, however small the sockets are drawn.

const reach = 12;

const isCoarse = () => matchMedia("(pointer: coarse)").matches;

function nearestSocket(x: number, y: number): HTMLElement | null {
  let nearest: HTMLElement | null = null;
  let least = reach;
  for (const socket of document.querySelectorAll<HTMLElement>(".canvas .socket")) {
    const box = socket.getBoundingClientRect();
    const away = Math.max(Math.abs(box.x + box.width / 2 - x), Math.abs(box.y + box.height / 2 - y));
    if (away > least) continue;
    least = away;
    nearest = socket;
  }
  return nearest;
}

/** The socket an event was meant for; null: it goes where it was going. */
function meant(event: Event, x: number, y: number): HTMLElement | null {
  if (!event.isTrusted || !isCoarse()) return null;
  const socket = nearestSocket(x, y);
  return socket?.contains(event.target as Node) ? null : socket;
}

export function redirectTap(event: MouseEvent): void {
  const socket = meant(event, event.clientX, event.clientY);
  if (!socket) return;
  event.stopPropagation();
  event.preventDefault();
  socket.click();
}

export function redirectTouch(event: TouchEvent): void {
  const [touch, ...more] = event.touches;
  const socket = touch && more.length === 0 ? meant(event, touch.clientX, touch.clientY) : null;
  if (!socket) return;
  event.stopPropagation();
  const touches = [touch!];
  const hands = { touches, targetTouches: touches, changedTouches: touches };
  socket.dispatchEvent(new TouchEvent("touchstart", { bubbles: true, cancelable: true, ...hands }));
}
