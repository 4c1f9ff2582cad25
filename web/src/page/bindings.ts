// bindings.ts - which key does what: as the table of commands says, but for what a person has changed. Kept in the
// browser.

import { commands, type Command } from "../commands";
import { createStore, useStore } from "../store";

type Bindings = Readonly<Record<string, readonly string[]>>;

const place = "tubelet.keys";

/** What the browser keeps for itself, and what moves the focus or presses what has it. */
const taken = /^((Mod\+)(N|T|W|Shift\+[NTW])|(Shift\+)?(Tab|Enter| |Escape|Arrow\w+))$/;

function remembered(): Bindings {
  try {
    return JSON.parse(localStorage.getItem(place) ?? "{}") as Bindings;
  } catch {
    return {};
  }
}

const changed = createStore<Bindings>(remembered());

changed.subscribe(() => localStorage.setItem(place, JSON.stringify(changed.get())));

export const keysOf = (command: Command): readonly string[] => changed.get()[command.id] ?? command.keys;

/** Renders again when a key is given to something else. */
export const useBindings = () => useStore(changed, (now) => now);

export const commandOfKey = (key: string): Command | undefined =>
  commands.find((command) => keysOf(command).includes(key));

/** Why a key cannot be given away; null: it can. */
export const whyNotKey = (key: string): string | null =>
  taken.test(key) ? "That key belongs to the browser, or moves the focus." : null;

/** The command gets this key and no other; who had it before has none, and is returned. */
export function bind(command: Command, key: string): Command | undefined {
  const before = commandOfKey(key);
  const others = before && before !== command ? { [before.id]: keysOf(before).filter((each) => each !== key) } : {};
  changed.set((now) => ({ ...now, ...others, [command.id]: [key] }));
  return before === command ? undefined : before;
}

export const resetKeys = () => changed.set({});
