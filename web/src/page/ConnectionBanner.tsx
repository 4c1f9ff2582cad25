import { useEffect, useState } from "react";
import { retryConnection, useConnection } from "../runs/state";

/** Seconds until a time, counted down. */
function useCountdown(until: number | null): number | null {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (until === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [until]);
  return until === null ? null : Math.max(0, Math.ceil((until - now) / 1000));
}

/** The server is away: editing goes on, running does not. Not shown while the page still opens. */
export function ConnectionBanner() {
  const { connected, retryAt } = useConnection();
  const seconds = useCountdown(retryAt);
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 1500);
    return () => clearTimeout(timer);
  }, []);
  if (connected || !late) return null;
  return (
    <div className="notice warning" role="status" aria-label="Connection">
      <span>
        Connection lost. Editing goes on; running waits for the server.
        <span aria-hidden="true">{seconds !== null && ` Trying again in ${seconds} s.`}</span>
      </span>
      <button type="button" className="button" onClick={retryConnection}>
        Try now
      </button>
    </div>
  );
}
