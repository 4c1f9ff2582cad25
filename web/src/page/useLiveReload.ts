import { useEffect } from "react";
import { fileChanged } from "../document/files";
import { useGraphChange } from "../runs/state";

/** What is open follows its file on disk. */
export function useLiveReload(): void {
  const change = useGraphChange();
  useEffect(() => {
    if (change) void fileChanged(change.path, change.etag);
  }, [change]);
}
