import { ReactFlow, ReactFlowProvider } from "@xyflow/react";

/** The page: top bar, panels around the canvas, log. */
export function App() {
  return (
    <ReactFlowProvider>
      <main className="canvas" aria-label="Graph">
        <ReactFlow nodes={[]} edges={[]} />
      </main>
    </ReactFlowProvider>
  );
}
