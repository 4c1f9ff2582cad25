// recall.ts - a document that is opened again shows how its last run went, with its pictures and its steps.

import { api, ApiError } from "../api";
import { currentDocument } from "../document/actions";
import { session } from "../document/session";
import { nameOf } from "./actions";
import { runHistory } from "./history";
import { meaning } from "./meaning";
import { runState, showRun } from "./state";

/** How many runs of the same name are looked at, newest first. */
const lookedAt = 4;

/** The newest run of just this document. */
async function findLast(): Promise<void> {
  const { opened, origin } = session.get();
  const name = origin.name.replace(/\.\w+$/, "");
  const wanted = meaning(currentDocument());
  const runs = runHistory.get().runs.filter((run) => run.state === "done" && nameOf(run) === name);
  for (const { prompt_id } of runs.slice(0, lookedAt)) {
    const detail = await api.runDetail(prompt_id).catch((reason: unknown) => {
      if (!(reason instanceof ApiError)) throw reason;
      return null;
    });
    if (session.get().opened !== opened || runState.shown.get() !== null) return;
    if (detail && meaning(detail.document) === wanted) {
      showRun(detail);
      return;
    }
  }
}

/** Once for every document that is opened, as soon as the history is there. */
export function watchRecall(): void {
  let done: number | undefined;
  const look = () => {
    const { opened } = session.get();
    if (opened === done || opened === 0 || runHistory.get().state !== "ready") return;
    done = opened;
    if (runState.shown.get() === null) void findLast();
  };
  session.subscribe(look);
  runHistory.subscribe(look);
}
