// GraphRow.tsx - a graph to choose: how it looks from far away, its name, and what it is for.

import { useEffect, useState } from "react";
import type { GraphDocument } from "../api";
import { fromApi } from "../document/convert";
import { boxAround } from "../document/geometry";
import { boxOf } from "../document/layout";
import { allLinks, type Doc } from "../document/model";
import { posterUrl, mainFile } from "../panels/media";
import { nameOf } from "../runs/actions";
import { runHistory } from "../runs/history";

/** One after the other: each is a program that the server runs. */
let line: Promise<unknown> = Promise.resolve();
const known = new Map<string, Promise<Known>>();

interface Known {
  drawn: Doc | null;
  sentence?: string;
}

/** As the server reads a graph; null: it cannot be built. */
type Read = () => Promise<{ document: GraphDocument | null; doc?: string }>;

function lookAt(key: string, read: Read): Promise<Known> {
  const found = known.get(key);
  if (found) return found;
  const asked = line.then(read).then(
    ({ document, doc }) => ({ drawn: document && fromApi(document), sentence: doc }),
    () => ({ drawn: null }), // opening it says why
  );
  line = asked;
  known.set(key, asked);
  return asked;
}

/** What the newest run of that name made. */
function pictureOf(name: string): string | undefined {
  const stem = name.replace(/^.*\//, "").replace(/\.\w+$/, "");
  const run = runHistory.get().runs.find((each) => each.state === "done" && nameOf(each) === stem && mainFile(each));
  return run && (posterUrl(mainFile(run)!, 96) ?? undefined);
}

function Drawing({ doc }: { doc: Doc }) {
  const boxes = new Map([...doc.nodes.values()].map((node) => [node.id, boxOf(node)]));
  const whole = boxAround(boxes.values(), 32);
  if (!whole) return null;
  return (
    <svg viewBox={`${whole.x} ${whole.y} ${whole.width} ${whole.height}`}>
      {[...allLinks(doc)].map(({ source, target, input }) => {
        const [from, to] = [boxes.get(source), boxes.get(target)];
        if (!from || !to) return null;
        const [x1, y1, y2] = [from.x + from.width, from.y + from.height / 2, to.y + to.height / 2];
        return <line key={`${target} ${input}`} x1={x1} y1={y1} x2={to.x} y2={y2} />;
      })}
      {[...boxes].map(([id, { x, y, width, height }]) => (
        <rect key={id} x={x} y={y} width={width} height={height} rx={16} />
      ))}
    </svg>
  );
}

interface GraphRowProps {
  name: string;
  /** Another one when the file is another. */
  version: string;
  /** Its size and age, or that it is an example. */
  facts: string;
  read: Read;
  onOpen: () => void;
  autoFocus?: boolean;
}

/** With what it made last, or its nodes and links. All places are kept from the start. */
export function GraphRow({ name, version, facts, read, onOpen, autoFocus }: GraphRowProps) {
  const [{ drawn, sentence }, setKnown] = useState<Known>({ drawn: null });
  const picture = pictureOf(name);
  useEffect(() => {
    let gone = false;
    void lookAt(`${name} ${version}`, read).then((found) => !gone && setKnown(found));
    return () => {
      gone = true;
    };
  }, [name, version]);
  return (
    <li>
      <button type="button" autoFocus={autoFocus} onClick={onOpen}>
        <span className="outline" aria-hidden="true">
          {picture ? <img src={picture} alt="" loading="lazy" /> : drawn && <Drawing doc={drawn} />}
        </span>
        <span className="graph-about">
          {name}
          <small>{sentence ?? "\u00a0"}</small>
        </span>
        <span className="dim">{facts}</span>
      </button>
    </li>
  );
}
