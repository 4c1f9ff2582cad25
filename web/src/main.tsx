import { createRoot } from "react-dom/client";
import { App } from "./App";
import { loadCatalog } from "./catalog";
import { watchDrafts } from "./document/drafts";
import { openFirst, watchAddress } from "./document/files";
import { notify } from "./page/notices";
import { offerOrphans } from "./document/switch";
import { startRuns } from "./runs/start";

async function start(): Promise<void> {
  await loadCatalog();
  await openFirst();
  await offerOrphans();
}

function tellFailure(reason: Error): void {
  notify({
    id: "start",
    kind: "error",
    text: reason.message,
    actions: [{ label: "Try again", run: () => start().catch(tellFailure) }],
  });
}

const root = document.getElementById("app");
if (!root) throw new Error("index.html has no #app");
createRoot(root).render(<App />);
watchDrafts();
watchAddress();
startRuns();
start().catch(tellFailure);
