// scrubbing.ts - is the view of the denoising steps open?

import { createStore, useStore } from "../store";

const open = createStore(false);

export const setScrubbing = (on: boolean) => open.set(on);
export const useScrubbing = () => useStore(open, (now) => now);
