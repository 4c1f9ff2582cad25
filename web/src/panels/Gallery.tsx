// Gallery.tsx - what runs have made, newest first. Videos play while they are pointed at or focused.

import { useRef } from "react";
import type { OutputFile, Run } from "../api";
import { captionOf } from "../runs/actions";
import { loadOlderRuns, useHistory } from "../runs/history";
import { Icon } from "../icons";
import { fileUrl, isVideo, posterUrl, viewable } from "./media";
import { openOverlay } from "./overlay";

interface Item {
  run: Run;
  file: OutputFile;
}

function Tile({ run, file }: Item) {
  const video = useRef<HTMLVideoElement>(null);
  const caption = captionOf(run);
  const play = () => void video.current?.play().catch(() => {});
  const stop = () => {
    video.current?.pause();
    if (video.current) video.current.currentTime = 0;
  };
  return (
    <li>
      <button
        type="button"
        className="tile"
        aria-label={`View ${file.filename}: ${caption}`}
        onPointerEnter={play}
        onPointerLeave={stop}
        onFocus={play}
        onBlur={stop}
        onClick={() => openOverlay({ kind: "viewer", run, file })}
      >
        {isVideo(file) ? (
          <video
            ref={video}
            src={fileUrl(file)}
            poster={posterUrl(file)}
            preload={file.key ? "none" : "metadata"}
            muted
            loop
            playsInline
          />
        ) : (
          <img src={posterUrl(file) ?? fileUrl(file)} alt="" loading="lazy" />
        )}
        {isVideo(file) && (
          <span className="tile-mark">
            <Icon name="play" />
          </span>
        )}
        <span className="tile-caption">{caption}</span>
      </button>
    </li>
  );
}

export function Gallery() {
  const { runs, more, state, message } = useHistory();
  const items = runs.flatMap((run): Item[] => viewable(run).map((file) => ({ run, file })));
  return (
    <section aria-label="Results">
      {state === "failed" && <p className="hint">{message}</p>}
      {state === "ready" && items.length === 0 && (
        <p className="hint">Videos and pictures appear here when a run has made them.</p>
      )}
      <ul className="tiles">
        {items.map(({ run, file }) => (
          <Tile key={`${run.prompt_id} ${file.node} ${file.subfolder}/${file.filename}`} run={run} file={file} />
        ))}
      </ul>
      {more && runs.length > 0 && (
        <button type="button" className="button wide-button" disabled={state === "loading"} onClick={loadOlderRuns}>
          Show older results
        </button>
      )}
    </section>
  );
}
