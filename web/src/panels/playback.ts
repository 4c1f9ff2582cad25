// playback.ts - one transport for one video or two: play, pause, seek by frames, in step.

import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../api";
import type { Media } from "./media";

/** What browsers show as a frame when nobody knows its length. */
const fallbackFps = 24;

export interface Playback {
  playing: boolean;
  frame: number;
  /** Of the longer video; 0 until it is known. */
  frames: number;
  toggle(): void;
  seek(frame: number): void;
  /** For the <video> at this place. */
  attach(index: number): (video: HTMLVideoElement | null) => void;
  loaded(): void;
}

/** Frames of stored videos; by key. */
function useFrameCounts(media: readonly Media[]): number[] {
  const keys = media.map((each) => each.key ?? "").join(" ");
  const [counts, setCounts] = useState<number[]>([]);
  useEffect(() => {
    const gone = new AbortController();
    const ask = (key: string) =>
      key ? api.result(key, { signal: gone.signal }).then(({ frames }) => frames, () => 0) : Promise.resolve(0);
    void Promise.all(keys.split(" ").map(ask)).then((found) => {
      if (!gone.signal.aborted) setCounts(found);
    });
    return () => gone.abort();
  }, [keys]);
  return counts;
}

export function usePlayback(media: readonly Media[]): Playback {
  const videos = useRef<(HTMLVideoElement | null)[]>([]);
  const [playing, setPlaying] = useState(false);
  const [frame, setFrame] = useState(0);
  const [, setLoads] = useState(0);
  const counts = useFrameCounts(media);

  /** Seconds a frame of this video lasts. */
  const frameTime = (index: number): number => {
    const video = videos.current[index];
    const count = counts[index] ?? 0;
    if (video && count > 0 && Number.isFinite(video.duration) && video.duration > 0) return video.duration / count;
    return 1 / (media[index]?.fps ?? fallbackFps);
  };
  const framesOf = (index: number): number => {
    const video = videos.current[index];
    if (!video || !Number.isFinite(video.duration)) return 0;
    return Math.max(1, Math.round(video.duration / frameTime(index)));
  };
  const lengths = media.map((_, index) => framesOf(index));
  const frames = Math.max(0, ...lengths);
  const leader = lengths.indexOf(frames);

  const seek = (wanted: number) => {
    const target = Math.min(Math.max(wanted, 0), Math.max(frames - 1, 0));
    videos.current.forEach((video, index) => {
      if (!video) return;
      video.pause();
      video.currentTime = (Math.min(target, framesOf(index) - 1) + 0.5) * frameTime(index);
    });
    setPlaying(false);
    setFrame(target);
  };

  const toggle = () => {
    for (const video of videos.current) {
      if (playing) video?.pause();
      else void video?.play().catch(() => setPlaying(false));
    }
    setPlaying(!playing);
  };

  const latest = useRef({ frameTime, frames, leader });
  latest.current = { frameTime, frames, leader };
  useEffect(() => {
    if (!playing) return;
    let request = 0;
    const follow = () => {
      const now = latest.current;
      const first = videos.current[now.leader];
      if (first) {
        setFrame(Math.min(Math.floor(first.currentTime / now.frameTime(now.leader)), Math.max(now.frames - 1, 0)));
        first.loop = true;
        for (const other of videos.current) if (other && other !== first) keepUp(other, first);
      }
      request = requestAnimationFrame(follow);
    };
    request = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(request);
  }, [playing]);

  const attach = useCallback(
    (index: number) => (video: HTMLVideoElement | null) => {
      videos.current[index] = video;
    },
    [],
  );
  return { playing, frame, frames, toggle, seek, attach, loaded: () => setLoads((count) => count + 1) };
}

/** The shorter one waits at its end for the longer one to begin again. */
function keepUp(video: HTMLVideoElement, leader: HTMLVideoElement): void {
  if (video.seeking || !Number.isFinite(video.duration)) return;
  video.loop = false;
  const end = Math.max(video.duration - 0.01, 0);
  const waits = leader.currentTime >= end;
  const wanted = waits ? end : leader.currentTime;
  if (Math.abs(video.currentTime - wanted) > 0.06) video.currentTime = wanted;
  if (waits) video.pause();
  else if (video.paused) void video.play().catch(() => {});
}
