// Transport.tsx - the row below a video: play, single frames, a slider over all of them.

import { IconButton } from "../icons";
import type { Playback } from "./playback";

export function Transport({ playback }: { playback: Playback }) {
  const { playing, frame, frames, toggle, seek } = playback;
  return (
    <div className="transport" role="group" aria-label="Playback">
      <IconButton icon="frameBack" label="Previous frame" disabled={frame === 0} onClick={() => seek(frame - 1)} />
      <IconButton icon={playing ? "pause" : "play"} label={playing ? "Pause" : "Play"} onClick={toggle} />
      <IconButton
        icon="frameForward"
        label="Next frame"
        disabled={frame >= frames - 1}
        onClick={() => seek(frame + 1)}
      />
      <input
        type="range"
        aria-label="Frame"
        aria-valuetext={`frame ${frame + 1} of ${frames}`}
        min={0}
        max={Math.max(frames - 1, 0)}
        value={frame}
        onChange={(event) => seek(Number(event.target.value))}
      />
      <output className="transport-frame">
        {frames > 0 ? `${frame + 1} / ${frames}` : "\u2013"}
      </output>
    </div>
  );
}

/** Space plays and pauses, comma and full stop step: where no other control wants the key. */
export function transportKey(event: React.KeyboardEvent, playback: Playback): void {
  const target = event.target as HTMLElement;
  if (target.closest("button, input, select, a, textarea")) {
    if (event.key === " " || (event.key !== "," && event.key !== ".")) return;
  }
  if (event.key === " ") playback.toggle();
  else if (event.key === "," || event.key === "ArrowLeft") playback.seek(playback.frame - 1);
  else if (event.key === "." || event.key === "ArrowRight") playback.seek(playback.frame + 1);
  else return;
  event.preventDefault();
}
