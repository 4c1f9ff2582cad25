// start.ts - begins to watch the server and the document; called once, by main.tsx.

import { watchAutoRun } from "./actions";
import { watchHistory } from "./history";
import { watchPlan } from "./plan";
import { connect } from "./state";

export function startRuns(): void {
  watchPlan();
  watchHistory();
  watchAutoRun();
  connect();
}
