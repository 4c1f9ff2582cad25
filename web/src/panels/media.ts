// media.ts - what can be shown of a run's files, and when.

import { previewUrl, type GraphDocument, type OutputFile, type Run } from "../api";

export interface Media {
  kind: "video" | "image";
  url: string;
  poster?: string;
  /** Frames of a stored video; 0: unknown. */
  key?: string;
  /** Frames a second, where the graph says so. */
  fps?: number;
}

const videoName = /\.(mp4|webm|mov|mkv|m4v)$/i;
const pictureName = /\.(png|jpe?g|webp|gif|bmp|apng)$/i;

export const isVideo = (file: OutputFile) => file.kind === "video" || videoName.test(file.filename);
const isViewable = (file: OutputFile) =>
  isVideo(file) || file.kind === "image" || file.kind === "animation" || pictureName.test(file.filename);

/** The stored bytes where they are kept: a later run may have written over the file. */
export const fileUrl = (file: OutputFile) => file.result_url ?? file.url;

export function posterUrl(file: OutputFile, size = 320): string | undefined {
  return file.key ? previewUrl(file.key, { size }) : undefined;
}

export function mediaOf(file: OutputFile, document?: GraphDocument): Media {
  const fps = document?.graph[file.node]?.inputs.fps;
  return {
    kind: isVideo(file) ? "video" : "image",
    url: fileUrl(file),
    poster: posterUrl(file, 1024),
    key: file.key,
    fps: typeof fps === "number" && fps > 0 ? fps : undefined,
  };
}

/** Another form of a stored video. */
export interface Form {
  name: string;
  filename: string;
  url: string;
}

/** Frames of the whole video on one page; small ones are enlarged. */
export const sheetUrl = (key: string) =>
  previewUrl(key, { columns: 4, rows: 3, size: 480, enlarge: 192, format: "png" });

/** None of a still picture, and none of what the store does not hold. */
export function formsOf(file: OutputFile): Form[] {
  if (!file.key || !(isVideo(file) || file.kind === "animation")) return [];
  const stem = file.filename.replace(/\.\w+$/, "");
  const gif = previewUrl(file.key, { frame: -2, size: 640, enlarge: 256, format: "gif" });
  return [
    { name: "GIF", filename: `${stem}.gif`, url: gif },
    { name: "contact sheet", filename: `${stem}_sheet.png`, url: sheetUrl(file.key) },
  ];
}

/** What there is to see of a run. Of a node that wrote several files, `result_url` and `key` mean the first. */
export function viewable(run: Run): OutputFile[] {
  const files = run.outputs ?? [];
  const counts = new Map<string, number>();
  const each = files.map((file) => {
    const index = counts.get(file.node) ?? 0;
    counts.set(file.node, index + 1);
    return { file, index };
  });
  return each
    .map(({ file, index }) => {
      if (!file.result_url || counts.get(file.node) === 1) return file;
      return { ...file, key: undefined, result_url: `${file.result_url}&index=${index}` };
    })
    .filter(isViewable);
}

/** The file that stands for a run: its last video, else its last picture. */
export function mainFile(run: Run): OutputFile | undefined {
  const files = viewable(run);
  return files.findLast(isVideo) ?? files.at(-1);
}
