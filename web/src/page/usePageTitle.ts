import { useEffect } from "react";
import { useDirty, useOrigin } from "../document/session";
import { useRunning } from "../runs/state";

/** The tab tells the file, unsaved changes, and how far the run is. */
export function usePageTitle(): void {
  const { name } = useOrigin();
  const dirty = useDirty();
  const running = useRunning();
  const progress = running ? `${Math.round(running.share * 100)} % ` : "";
  const title = `${progress}${dirty ? "• " : ""}${name} - tubelet`;
  useEffect(() => {
    document.title = title;
  }, [title]);
}
