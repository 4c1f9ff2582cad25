import { commandById } from "../commands";
import { openExample } from "../document/files";
import { missingParams, useOrigin } from "../document/session";
import { keyOf } from "../page/keys";

/** An empty canvas says what can be done. */
export function EmptyHint() {
  const add = commandById("add");
  const open = commandById("open");
  const origin = useOrigin();
  const missing = missingParams(origin);
  if (missing.length > 0) {
    return (
      <section className="empty-hint" aria-label="Start">
        <h2>{origin.name}</h2>
        <p>The graph is made from its parameters. Fill in: {missing.join(", ")}.</p>
      </section>
    );
  }
  return (
    <section className="empty-hint" aria-label="Start">
      <h2>An empty graph</h2>
      <button type="button" className="button primary" onClick={() => void openExample("text_to_video.lua")}>
        Open the text to video example
      </button>
      <button type="button" className="button" onClick={add.run}>
        {add.label} <kbd>{keyOf(add)}</kbd>
      </button>
      <button type="button" className="button" onClick={open.run}>
        {open.label} <kbd>{keyOf(open)}</kbd>
      </button>
      <p className="dim">A video that tubelet made, dropped here, brings its graph back.</p>
    </section>
  );
}
