// LinkStops.tsx - links for the Tab key. React Flow writes links before nodes into the page, and Tab goes as the page
// is written: so every link has a stop of its own behind the nodes, unseen, and the link it stands for is marked.

import { memo, useEffect } from "react";
import { createStore, useStore } from "../store";
import type { FlowLink } from "./flow";
import { select } from "./selection";
import { fitView, isInView } from "./viewport";

const focused = createStore<FlowLink | null>(null);

/** The link whose stop has the focus. */
export const focusedLink = () => focused.get();
export const useIsFocused = (id: string) => useStore(focused, (now) => now?.id === id);

const Stop = memo(function Stop({ link }: { link: FlowLink }) {
  // An element that leaves the page with the focus on it sends no blur.
  useEffect(() => () => focused.set((now) => (now?.id === link.id ? null : now)), [link.id]);
  return (
    <button
      type="button"
      className="spoken"
      aria-label={link.ariaLabel}
      aria-keyshortcuts="Delete"
      onFocus={() => {
        focused.set(link);
        if (!isInView(link.source) && !isInView(link.target)) fitView([link.source, link.target]);
      }}
      onBlur={() => focused.set(null)}
      onClick={() => select([], [link.id])}
    />
  );
});

export const LinkStops = memo(function LinkStops({ links }: { links: readonly FlowLink[] }) {
  return (
    <div className="link-stops">
      {links.map((link) => (
        <Stop key={link.id} link={link} />
      ))}
    </div>
  );
});
