// StorePanel.tsx - what is stored, how much room it takes, and what the open graph finds of it.

import { useCallback, useEffect, useState } from "react";
import { api, ApiError, type Result, type ResultOrder, type StoreStats } from "../api";
import { ask } from "../dialogs/dialogs";
import { announce } from "../page/announce";
import { report } from "../runs/actions";
import { bytes, count } from "../runs/format";
import { planAgain } from "../runs/plan";
import { useConnection, useLastEnded } from "../runs/state";
import { Memory } from "./Memory";
import { groupResults } from "./resultGroups";
import { ResultGroup, ResultRow } from "./ResultRow";
import { Reasons } from "./Reasons";

const pageSize = 100;

const orders: Record<ResultOrder, string> = {
  used: "last used",
  created: "newest",
  bytes: "largest",
  cost: "most costly",
};

interface Listing {
  results: readonly Result[];
  stats: StoreStats | null;
  message?: string;
}

/** Read again when a run has ended, and after what is done here. */
function useListing(order: ResultOrder, limit: number): [Listing, () => Promise<void>] {
  const [listing, setListing] = useState<Listing>({ results: [], stats: null });
  const load = useCallback(async () => {
    try {
      setListing(await api.results(order, limit));
    } catch (reason) {
      if (!(reason instanceof ApiError)) throw reason;
      setListing((now) => ({ ...now, message: reason.message }));
    }
  }, [order, limit]);
  const ended = useLastEnded();
  const { connected } = useConnection();
  useEffect(() => void load(), [load, ended, connected]);
  return [listing, load];
}

function Room({ stats }: { stats: StoreStats }) {
  const share = stats.cap_bytes > 0 ? Math.min(stats.bytes / stats.cap_bytes, 1) : 0;
  const cap = stats.cap_bytes > 0 ? ` of ${bytes(stats.cap_bytes)}` : "";
  return (
    <div className="room">
      <meter max={1} value={share} high={0.9} optimum={0} aria-label="Room taken in the store" />
      <p>
        <strong>{bytes(stats.bytes)}</strong>
        {cap}, {count(stats.results, "result")}, {stats.pinned} pinned
      </p>
    </div>
  );
}

export function StorePanel() {
  const [order, setOrder] = useState<ResultOrder>("used");
  const [limit, setLimit] = useState(pageSize);
  const [{ results, stats, message }, load] = useListing(order, limit);

  async function change(what: string, done: () => Promise<string>): Promise<void> {
    try {
      announce(await done());
    } catch (reason) {
      report(what, reason);
    }
    planAgain();
    await load();
  }

  const row = (result: Result) => (
    <ResultRow
      key={result.key}
      result={result}
      onPin={() =>
        change("Not pinned", async () => {
          const { pinned } = await api.pin(result.key, !result.pinned);
          return pinned ? "Pinned." : "No longer pinned.";
        })
      }
      onEvict={() =>
        change("Not evicted", async () => {
          await api.evict(result.key);
          return "Evicted.";
        })
      }
    />
  );

  const evictAll = async () => {
    const answer = await ask({
      title: "Evict everything?",
      text:
        "All results go, but for pinned ones and those of runs under way. Graphs and files already written stay; " +
        "running a graph again computes it anew.",
      choices: [{ id: "evict", label: "Evict all", kind: "danger" }],
    });
    if (answer) await change("Not evicted", async () => `${bytes((await api.gc(0)).freed)} freed.`);
  };

  return (
    <section aria-label="Store">
      <Memory />
      {stats && <Room stats={stats} />}
      {message && <p className="hint">{message}</p>}
      <Reasons />
      <header className="panel-heading">
        <h3>Results</h3>
        <select
          className="field"
          aria-label="Order"
          value={order}
          onChange={(event) => setOrder(event.target.value as ResultOrder)}
        >
          {Object.entries(orders).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <button type="button" className="link-button" disabled={results.length === 0} onClick={() => void evictAll()}>
          Evict all
        </button>
      </header>
      {stats && results.length === 0 && <p className="hint">Nothing is stored yet. Results of runs are kept here.</p>}
      <ul className="rows">
        {groupResults(results).map((entry) =>
          "key" in entry ? (
            row(entry)
          ) : (
            <ResultGroup key={entry[0]!.key} results={entry}>
              {entry.map(row)}
            </ResultGroup>
          ),
        )}
      </ul>
      {results.length >= limit && (
        <button type="button" className="button wide-button" onClick={() => setLimit(limit + pageSize)}>
          Show more
        </button>
      )}
    </section>
  );
}
