import { useNodeState } from "../runs/state";

/** The newest picture of the node. Its place is kept from the start, so that nothing jumps when it comes. */
export function NodePreview({ id }: { id: string }) {
  const { previewUrl } = useNodeState(id);
  return (
    <div className="node-preview">
      {previewUrl ? (
        <img src={previewUrl} alt={`Preview of ${id}`} draggable={false} />
      ) : (
        <span aria-hidden="true">no picture yet</span>
      )}
    </div>
  );
}
