import { memo, useState } from "react";
import type { NodeType } from "../api";
import { commandById } from "../commands";
import { edit } from "../document/actions";
import { patchMeta } from "../document/edits";
import type { DocNode } from "../document/model";
import { nodeTitle } from "../document/names";
import { useDoc, useScripted } from "../document/session";
import { Icon, IconButton } from "../icons";
import { keyOf } from "../page/keys";
import { runNow } from "../runs/actions";
import { toggleSteps } from "../scopes/unfold";
import { domId } from "./flow";
import { StateBadge } from "./StateBadge";
import { renaming, stopRenaming, startRenaming } from "./renaming";
import { useStore } from "../store";

function TitleEditor({ node }: { node: DocNode }) {
  const [text, setText] = useState(nodeTitle(node));
  const finish = (keep: boolean) => {
    const title = text.trim();
    if (keep && title !== nodeTitle(node)) edit(patchMeta([node.id], { title: title || undefined }));
    stopRenaming();
  };
  return (
    <input
      className="field title-field nodrag"
      aria-label="Title"
      value={text}
      autoFocus
      onFocus={(event) => event.target.select()}
      onChange={(event) => setText(event.target.value)}
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
    />
  );
}

function FoldButton({ id }: { id: string }) {
  const open = useDoc().folded[id] === false;
  return (
    <IconButton
      icon={open ? "chevronDown" : "chevronRight"}
      label={open ? "Fold the steps" : "Unfold the steps"}
      onClick={() => toggleSteps(id)}
    />
  );
}

interface HeaderProps {
  node: DocNode;
  type: NodeType | undefined;
}

export const NodeHeader = memo(function NodeHeader({ node, type }: HeaderProps) {
  const title = nodeTitle(node);
  const editing = useStore(renaming, (id) => id === node.id);
  const scripted = useScripted();
  const { mode, pinned } = node.meta;
  return (
    <header className="node-header" onDoubleClick={() => startRenaming(node.id)}>
      {type?.kind === "composite" && <FoldButton id={node.id} />}
      {mode && <Icon name={mode} />}
      {pinned && <Icon name="pin" />}
      {editing ? (
        <TitleEditor node={node} />
      ) : (
        <span className="node-title" id={`${domId(node.id)}-title`} title={type?.doc}>
          {title}
        </span>
      )}
      <StateBadge id={node.id} mode={mode} known={type !== undefined || scripted} />
      {type?.target && (
        <IconButton
          icon="play"
          label={`Run to ${title}`}
          hint={keyOf(commandById("run-to"))}
          onClick={() => void runNow({ until: node.id })}
        />
      )}
    </header>
  );
});
