// Bends.tsx - where a person led a link around something: points of the document, each to be dragged, or taken out with
// a double click.

import { useRef, useState, type CSSProperties, type PointerEvent } from "react";
import { edit } from "../document/actions";
import { setBends } from "../document/edits";
import type { Point } from "../document/model";
import { currentDoc } from "../document/session";
import { toPlane } from "./viewport";

const bendsOf = (target: string, input: string): readonly Point[] =>
  currentDoc().nodes.get(target)?.meta.bends?.[input] ?? [];

const distance = (a: Point, b: Point) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** A bend where the link is the least longer for it. `ends`: where the link begins and ends. */
export function addBend(target: string, input: string, at: Point, ends: [Point, Point]): void {
  const bends = bendsOf(target, input);
  const along = [ends[0], ...bends, ends[1]];
  const longer = (from: Point, to: Point) => distance(from, at) + distance(at, to) - distance(from, to);
  const detours = along.slice(1).map((next, i) => longer(along[i]!, next));
  const place = detours.indexOf(Math.min(...detours));
  edit(setBends(target, input, [...bends.slice(0, place), at, ...bends.slice(place)]));
}

interface BendProps {
  target: string;
  input: string;
  index: number;
  at: Point;
  colour: string;
  /** While it is dragged: the link follows. */
  onMove: (at: Point | null) => void;
}

function Bend({ target, input, index, at, colour, onMove }: BendProps) {
  const moved = useRef<Point | null>(null);
  const follow = (event: PointerEvent) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const { x, y } = toPlane({ x: event.clientX, y: event.clientY });
    moved.current = [Math.round(x), Math.round(y)];
    onMove(moved.current);
  };
  const release = () => {
    const to = moved.current;
    moved.current = null;
    onMove(null);
    if (to) edit(setBends(target, input, bendsOf(target, input).map((bend, i) => (i === index ? to : bend))));
  };
  return (
    <circle
      className="bend nopan"
      cx={at[0]}
      cy={at[1]}
      r={6}
      style={{ "--port": colour } as CSSProperties}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={follow}
      onPointerUp={release}
      onPointerCancel={release}
      onDoubleClick={(event) => {
        event.stopPropagation();
        edit(setBends(target, input, bendsOf(target, input).filter((_, i) => i !== index)));
      }}
    />
  );
}

/** The bends as they are now, one of them maybe in a hand; and what is drawn of them. */
export function useBends(target: string, input: string, bends: readonly Point[] | undefined, colour: string) {
  const [held, setHeld] = useState<{ index: number; at: Point } | null>(null);
  const points = bends?.map((bend, i) => (held?.index === i ? held.at : bend)) ?? [];
  const handles = points.map((at, index) => {
    const onMove = (to: Point | null) => setHeld(to && { index, at: to });
    return <Bend key={index} {...{ target, input, index, at, colour, onMove }} />;
  });
  return { points, handles };
}
