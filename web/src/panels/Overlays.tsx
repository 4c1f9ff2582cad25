// Overlays.tsx - the large views over the page.

import { Compare, CompareSteps } from "./Compare";
import { useOverlay } from "./overlay";
import { Viewer } from "./Viewer";

export function Overlays() {
  const overlay = useOverlay();
  switch (overlay?.kind) {
    case "viewer":
      return <Viewer run={overlay.run} file={overlay.file} />;
    case "compare":
      return <Compare left={overlay.left} right={overlay.right} />;
    case "steps":
      return <CompareSteps pair={overlay.pair} />;
    case undefined:
      return null;
  }
}
