import { ContextMenu } from "./ContextMenu";
import { NodeSearch } from "./NodeSearch";
import { usePopup } from "./popups";

export function PopupLayer() {
  const popup = usePopup();
  switch (popup?.kind) {
    case "search":
      return <NodeSearch at={popup.at} end={popup.end} place={popup.place} />;
    case "menu":
      return <ContextMenu at={popup.at} label={popup.label} commands={popup.commands} />;
    case undefined:
      return null;
  }
}
