// useDetail.ts - what the server knows about one thing, asked when it is shown.

import { useEffect, useState } from "react";
import { api, ApiError, type RunDetail } from "../api";

export interface Asked<T> {
  value?: T;
  error?: string;
}

/** Asks when `name` changes; null asks nothing. The value of another name is never shown. */
export function useAsked<T>(name: string | null, ask: (signal: AbortSignal) => Promise<T>): Asked<T> {
  const [answer, setAnswer] = useState<Asked<T> & { name: string | null }>({ name: null });
  useEffect(() => {
    if (name === null) return;
    const gone = new AbortController();
    ask(gone.signal).then(
      (value) => setAnswer({ name, value }),
      (reason: unknown) => {
        if (gone.signal.aborted) return;
        if (!(reason instanceof ApiError)) throw reason;
        setAnswer({ name, error: reason.message });
      },
    );
    return () => gone.abort();
  }, [name]);
  return answer.name === name ? answer : {};
}

export function useRunDetail(id: string | null): Asked<RunDetail> {
  return useAsked(id, (signal) => api.runDetail(id!, { signal }));
}
