import { Panel, useStore } from "@xyflow/react";
import { commandById } from "../commands";
import { IconButton, type IconName } from "../icons";
import { keyOf } from "../page/keys";
import { useUi } from "../page/ui";

function CommandButton({ id, icon, pressed }: { id: string; icon: IconName; pressed?: boolean }) {
  const command = commandById(id);
  return <IconButton icon={icon} label={command.label} hint={keyOf(command)} pressed={pressed} onClick={command.run} />;
}

export function ZoomControls() {
  const zoom = useStore((now) => Math.round(now.transform[2] * 100));
  const { minimap } = useUi();
  return (
    <Panel position="bottom-left" className="zoom-controls" role="toolbar" aria-label="View">
      <CommandButton id="zoom-out" icon="zoomOut" />
      <span className="zoom-value">{zoom} %</span>
      <CommandButton id="zoom-in" icon="zoomIn" />
      <CommandButton id="fit" icon="fit" />
      <CommandButton id="minimap" icon="map" pressed={minimap} />
    </Panel>
  );
}
