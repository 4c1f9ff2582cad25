// renaming.ts - the node whose title is being typed.

import { createStore } from "../store";

export const renaming = createStore<string | null>(null);

export const startRenaming = (id: string) => renaming.set(id);
export const stopRenaming = () => renaming.set(null);
