// Viewer.tsx - one result, large: play it, step through it, and get back to the graph that made it.

import { useState } from "react";
import type { GraphDocument, OutputFile, Run } from "../api";
import { nodeType } from "../catalog";
import { captionOf, reopenRun, runTitle } from "../runs/actions";
import { age } from "../runs/format";
import { useHistory } from "../runs/history";
import { Dialog } from "./Dialog";
import { Icon } from "../icons";
import { fileUrl, formsOf, mainFile, mediaOf, sheetUrl, viewable, type Media } from "./media";
import { closeOverlay, openOverlay } from "./overlay";
import { usePlayback } from "./playback";
import { RunSelect } from "./RunSelect";
import { SaveAs } from "./SaveAs";
import { Transport, transportKey } from "./Transport";
import { useRunDetail } from "./useDetail";
import { runNodes, runSentence } from "./words";

function Video({ media }: { media: Media }) {
  const playback = usePlayback([media]);
  return (
    <div className="viewer-stage" onKeyDown={(event) => transportKey(event, playback)}>
      <video
        ref={playback.attach(0)}
        src={media.url}
        poster={media.poster}
        loop
        muted
        playsInline
        preload="auto"
        tabIndex={0}
        aria-label="The video; space plays, comma and full stop step"
        onLoadedMetadata={playback.loaded}
        onClick={playback.toggle}
      />
      <Transport playback={playback} />
    </div>
  );
}

/** The texts a person wrote into the graph. */
function promptsOf(document: GraphDocument): { node: string; text: string }[] {
  return Object.entries(document.graph).flatMap(([node, { class_type, inputs }]) =>
    (nodeType(class_type)?.inputs ?? [])
      .filter((input) => input.multiline && typeof inputs[input.name] === "string" && inputs[input.name] !== "")
      .map((input) => ({ node, text: inputs[input.name] as string })),
  );
}

function Facts({ run, document }: { run: Run; document?: GraphDocument }) {
  const nodes = runNodes(run);
  return (
    <>
      <p className="viewer-facts">
        {runSentence(run)}
        {run.ended_ms ? `, ${age(run.ended_ms)}` : ""}
        {nodes && `, ${nodes}`}
      </p>
      <dl className="viewer-prompts">
        {promptsOf(document ?? { graph: {} }).map(({ node, text }) => (
          <div key={node}>
            <dt>{node}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

/** The results before and after this one in the gallery. */
function useNeighbours(run: Run, file: OutputFile) {
  const items = useHistory().runs.flatMap((each) => viewable(each).map((one) => ({ run: each, file: one })));
  const at = items.findIndex((item) => item.run.prompt_id === run.prompt_id && fileUrl(item.file) === fileUrl(file));
  return { newer: at > 0 ? items[at - 1] : undefined, older: at >= 0 ? items[at + 1] : undefined };
}

function Picture({ url, alt }: { url: string; alt: string }) {
  return (
    <div className="viewer-stage">
      <img src={url} alt={alt} />
    </div>
  );
}

export function Viewer({ run, file }: { run: Run; file: OutputFile }) {
  const { value: detail } = useRunDetail(run.prompt_id);
  const { newer, older } = useNeighbours(run, file);
  const [asSheet, setAsSheet] = useState(false);
  const media = mediaOf(file, detail?.document);
  const hasForms = formsOf(file).length > 0;
  return (
    <Dialog title={captionOf(run)} className="viewer" onClose={closeOverlay}>
      <div className="viewer-columns">
        {asSheet && hasForms && file.key ? (
          <Picture url={sheetUrl(file.key)} alt={`Frames of ${file.filename}, from the first to the last`} />
        ) : media.kind === "video" ? (
          <Video key={media.url} media={media} />
        ) : (
          <Picture url={media.url} alt={`${file.filename}, made by ${runTitle(run)}`} />
        )}
        <div className="viewer-side">
          <Facts run={run} document={detail?.document} />
          <div className="viewer-actions">
            <button
              type="button"
              className="button primary"
              onClick={() => {
                closeOverlay();
                void reopenRun(run.prompt_id);
              }}
            >
              <Icon name="graph" /> Open its graph
            </button>
            <a className="button" href={fileUrl(file)} download={file.filename}>
              <Icon name="download" /> Download {file.filename}
            </a>
            {hasForms && (
              <label className="check">
                <input type="checkbox" checked={asSheet} onChange={(event) => setAsSheet(event.target.checked)} />
                show as contact sheet
              </label>
            )}
            {hasForms && <SaveAs key={fileUrl(file)} file={file} />}
            <RunSelect
              label="Compare with"
              except={run.prompt_id}
              onChoose={(other) => openOverlay({ kind: "compare", left: run, right: other })}
              disabled={!mainFile(run)}
            />
          </div>
          <div className="viewer-neighbours">
            <button
              type="button"
              className="button"
              disabled={!newer}
              onClick={() => newer && openOverlay({ kind: "viewer", ...newer })}
            >
              <Icon name="previous" /> Newer
            </button>
            <button
              type="button"
              className="button"
              disabled={!older}
              onClick={() => older && openOverlay({ kind: "viewer", ...older })}
            >
              Older <Icon name="next" />
            </button>
          </div>
        </div>
      </div>
    </Dialog>
  );
}
