import type { NodeInput } from "../api";
import { edit } from "../document/actions";
import { patchMeta } from "../document/edits";
import { seedControls, type DocNode, type SeedControl as Control } from "../document/model";
import { seedControlOf } from "../document/seeds";

/** What becomes of a seed after each run that is queued. */
export function SeedControl({ node, input }: { node: DocNode; input: NodeInput }) {
  return (
    <label className="seed-control">
      after a run
      <select
        className="field"
        aria-label={`${input.name} after a run`}
        value={seedControlOf(node, input.name)}
        onChange={(event) => {
          const seeds = { ...node.meta.seeds, [input.name]: event.target.value as Control };
          edit(patchMeta([node.id], { seeds }));
        }}
      >
        {seedControls.map((control) => (
          <option key={control}>{control}</option>
        ))}
      </select>
    </label>
  );
}
