import { useNodeState } from "../runs/state";
import { select } from "./selection";

/** The first line of what went wrong, below the node; its place in a script leads to the inspector. */
export function NodeError({ id }: { id: string }) {
  const { state, error } = useNodeState(id);
  if (state !== "error" || !error) return null;
  return (
    <div className="node-error">
      <span>{error.message}</span>
      {error.origin && (
        <button type="button" className="link-button nodrag" onClick={() => select([id])}>
          {error.origin.replace(/^.*\//, "")}
        </button>
      )}
    </div>
  );
}
