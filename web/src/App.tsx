import { ReactFlowProvider } from "@xyflow/react";
import { useEffect, type ReactNode } from "react";
import { Canvas } from "./canvas/Canvas";
import { PopupLayer } from "./canvas/PopupLayer";
import { DialogLayer } from "./dialogs/DialogLayer";
import { Inspector } from "./inspector/Inspector";
import { watchFileDrops } from "./page/fileDrops";
import { GraphTabs } from "./page/GraphTabs";
import { Announcer } from "./page/Announcer";
import { ConnectionBanner } from "./page/ConnectionBanner";
import { watchKeys } from "./page/keys";
import { NoticeBars } from "./page/NoticeBars";
import { TopBar } from "./page/TopBar";
import { setUi, useUi } from "./page/ui";
import { useLiveReload } from "./page/useLiveReload";
import { usePageTitle } from "./page/usePageTitle";
import { useRunNews } from "./page/useRunNews";
import { LeftPanel } from "./panels/LeftPanel";
import { Log } from "./panels/Log";
import { Overlays } from "./panels/Overlays";
import { Scrubber } from "./panels/Scrubber";

/** A panel beside the canvas; on a narrow page a sheet over it, which a press beside it closes. */
function Side({
  side,
  label,
  onClose,
  children,
}: {
  side: "left" | "right";
  label: string;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <>
      <div className="sheet-shade" aria-hidden="true" onClick={onClose} />
      <aside className={`side ${side}`} aria-label={label}>
        {children}
      </aside>
    </>
  );
}

/** The page: top bar, panels around the canvas, log. */
export function App() {
  const { left, right, log } = useUi();
  useEffect(watchKeys, []);
  useEffect(watchFileDrops, []);
  useLiveReload();
  useRunNews();
  usePageTitle();
  return (
    <ReactFlowProvider>
      <div className="page">
        <TopBar />
        <GraphTabs />
        <div className="notices">
          <ConnectionBanner />
          <NoticeBars />
        </div>
        <div className="middle">
          {left !== null && (
            <Side side="left" label="Nodes, queue and results" onClose={() => setUi({ left: null })}>
              <LeftPanel />
            </Side>
          )}
          <div className="centre">
            <Canvas />
            <Scrubber />
            {log && <Log onClose={() => setUi({ log: false })} />}
          </div>
          {right && (
            <Side side="right" label="Inspector" onClose={() => setUi({ right: false })}>
              <Inspector />
            </Side>
          )}
        </div>
      </div>
      <PopupLayer />
      <DialogLayer />
      <Overlays />
      <Announcer />
    </ReactFlowProvider>
  );
}
