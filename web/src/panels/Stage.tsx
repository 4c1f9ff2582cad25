// Stage.tsx - two pictures or videos, beside each other or one over the other with a line to wipe along.

import { useState, type PointerEvent } from "react";
import type { Media } from "./media";
import { usePlayback } from "./playback";
import { Transport, transportKey } from "./Transport";

export interface Side {
  label: string;
  media: Media;
}

interface PictureProps {
  side: Side;
  attach(video: HTMLVideoElement | null): void;
  onLoaded(): void;
}

function Picture({ side: { label, media }, attach, onLoaded }: PictureProps) {
  if (media.kind === "image") return <img src={media.url} alt={label} />;
  return (
    <video
      ref={attach}
      src={media.url}
      poster={media.poster}
      aria-label={label}
      loop
      muted
      playsInline
      preload="auto"
      onLoadedMetadata={onLoaded}
    />
  );
}

export function Stage({ sides }: { sides: [Side, Side] }) {
  const [wipes, setWipes] = useState(false);
  const [line, setLine] = useState(50);
  const playback = usePlayback(sides.map((side) => side.media));
  /** The line follows the pressed pointer. */
  const drag = (event: PointerEvent<HTMLElement>) => {
    if (event.buttons === 0) return;
    const box = event.currentTarget.getBoundingClientRect();
    setLine(Math.round(Math.min(Math.max((100 * (event.clientX - box.left)) / box.width, 0), 100)));
  };
  const moving = sides.some((side) => side.media.kind === "video");
  return (
    <div className="stage" onKeyDown={moving ? (event) => transportKey(event, playback) : undefined}>
      <div
        className="stage-pictures"
        data-wipe={wipes || undefined}
        onPointerMove={wipes ? drag : undefined}
        onPointerDown={wipes ? drag : undefined}
      >
        {sides.map((side, index) => (
          <figure key={side.media.url} style={wipes && index === 1 ? { clipPath: `inset(0 0 0 ${line}%)` } : undefined}>
            <Picture side={side} attach={playback.attach(index)} onLoaded={playback.loaded} />
            {!wipes && <figcaption>{side.label}</figcaption>}
          </figure>
        ))}
        {wipes && <div className="wipe-line" style={{ left: `${line}%` }} />}
      </div>
      {wipes && (
        <input
          className="wipe"
          type="range"
          aria-label="Wipe"
          aria-valuetext={`${sides[0].label} ${line} percent, ${sides[1].label} ${100 - line} percent`}
          min={0}
          max={100}
          value={line}
          onChange={(event) => setLine(Number(event.target.value))}
        />
      )}
      <div className="stage-controls">
        <label className="check">
          <input type="checkbox" checked={wipes} onChange={(event) => setWipes(event.target.checked)} />
          wipe
        </label>
        {moving && <Transport playback={playback} />}
      </div>
    </div>
  );
}
