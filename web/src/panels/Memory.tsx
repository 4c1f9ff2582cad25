// Memory.tsx - how much memory the machine has left for runs, and a way to let go of what is kept of earlier ones.

import { useCallback, useEffect, useState } from "react";
import { api, ApiError } from "../api";
import { freeMemory } from "../runs/actions";
import { bytes } from "../runs/format";
import { useConnection, useLastEnded } from "../runs/state";

interface Room {
  total: number;
  free: number;
  /** What a run may take at most. */
  limit: number;
}

async function look(): Promise<Room> {
  const [{ system }, { memory }] = await Promise.all([api.systemStats(), api.info()]);
  return { total: system.ram_total, free: system.ram_free, limit: memory.limit };
}

export function Memory() {
  const [room, setRoom] = useState<Room | null>(null);
  const ended = useLastEnded();
  const { connected } = useConnection();
  const load = useCallback(
    () =>
      look().then(setRoom, (reason: unknown) => {
        if (!(reason instanceof ApiError)) throw reason;
      }),
    [],
  );
  useEffect(() => void load(), [load, ended, connected]);
  if (!room) return null;
  const { total, free, limit } = room;
  return (
    <section aria-label="Memory">
      <header className="panel-heading">
        <h3>Memory</h3>
        <button type="button" className="link-button" onClick={() => void freeMemory().then(load)}>
          Free memory
        </button>
      </header>
      <div className="room">
        <meter max={1} value={1 - free / total} high={0.9} optimum={0} aria-label="Memory in use" />
        <p>
          <strong>{bytes(free)}</strong> free of {bytes(total)}; a run may take {bytes(limit)}
        </p>
      </div>
    </section>
  );
}
