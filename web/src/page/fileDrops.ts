// fileDrops.ts - a file let go anywhere on the page is opened; the browser would leave the page for it.

import { openFile } from "../document/files";

const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;

function onDragOver(event: DragEvent): void {
  if (hasFile(event)) event.preventDefault();
}

function onDrop(event: DragEvent): void {
  if (!hasFile(event)) return;
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) void openFile(file);
}

export function watchFileDrops(): () => void {
  addEventListener("dragover", onDragOver);
  addEventListener("drop", onDrop);
  return () => {
    removeEventListener("dragover", onDragOver);
    removeEventListener("drop", onDrop);
  };
}
