// start.ts - begins to watch the server and the document; called once, by main.tsx.

import { watchAutoRun } from "./actions";
import { watchHistory } from "./history";
import { watchPlan } from "./plan";
import { watchRecall } from "./recall";
import { watchSpeech } from "./speak";
import { connect } from "./state";
import { watchSteps } from "./steps";

export function startRuns(): void {
  watchPlan();
  watchHistory();
  watchRecall();
  watchAutoRun();
  watchSteps();
  watchSpeech();
  connect();
}
