// announce.ts - what is said to those who do not see it: politely, or at once for errors.

import { createStore } from "../store";

export const polite = createStore("");
export const assertive = createStore("");

/** The same sentence twice is said twice. */
const again = (text: string, before: string) => (text === before ? `${text}\u00a0` : text);

export function announce(text: string): void {
  polite.set((before) => again(text, before));
}

export function announceError(text: string): void {
  assertive.set((before) => again(text, before));
}
