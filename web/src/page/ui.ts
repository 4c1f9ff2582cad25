// ui.ts - what of the page is open. Kept from visit to visit; not part of any document.

import { createStore, useStore } from "../store";

export type LeftTab = "nodes" | "queue" | "gallery" | "store" | "models";
export type Theme = "system" | "dark" | "light";

export interface Ui {
  /** null: the left panel is closed. */
  left: LeftTab | null;
  right: boolean;
  log: boolean;
  minimap: boolean;
  /** false: links are drawn only where they are looked at. */
  links: boolean;
  theme: Theme;
}

const place = "tubelet.ui";
const isNarrow = () => matchMedia("(max-width: 899px)").matches;
const isWide = () => matchMedia("(min-width: 1440px)").matches;

function remembered(): Ui {
  const left = isWide() ? "nodes" : null;
  const roomy: Ui = { left, right: true, log: false, minimap: true, links: true, theme: "system" };
  const initial = isNarrow() ? { ...roomy, left: null, right: false, minimap: false } : roomy;
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "{}") as Partial<Ui>;
    return isNarrow() ? { ...initial, theme: kept.theme ?? "system" } : { ...initial, ...kept };
  } catch {
    return initial;
  }
}

export const ui = createStore<Ui>(remembered());

ui.subscribe(() => localStorage.setItem(place, JSON.stringify(ui.get())));

export function setUi(patch: Partial<Ui>): void {
  // Sheets cover the canvas on a narrow page: one at a time.
  const alone = isNarrow() ? { ...(patch.left && { right: false }), ...(patch.right && { left: null }) } : {};
  ui.set((now) => ({ ...now, ...alone, ...patch }));
}

export const useUi = () => useStore(ui, (now) => now);

/** The tab, or no left panel when it is shown already. */
export const toggleTab = (tab: LeftTab) => setUi({ left: ui.get().left === tab ? null : tab });

function applyTheme(): void {
  const { theme } = ui.get();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

applyTheme();
ui.subscribe(applyTheme);

export function toggleTheme(): void {
  const { theme } = ui.get();
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  setUi({ theme: dark ? "light" : "dark" });
}
