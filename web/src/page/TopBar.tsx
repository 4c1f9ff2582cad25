import { commandById } from "../commands";
import { useCanRedo, useCanUndo, useDirty, useOrigin } from "../document/session";
import { Icon, IconButton, type IconName } from "../icons";
import { PlanBar } from "../panels/PlanBar";
import { duration } from "../runs/format";
import { usePlan } from "../runs/plan";
import { useConnection, useQueue, useRunning } from "../runs/state";
import { openPopup } from "../canvas/popups";
import { keyOf } from "./keys";
import { setUi, useUi } from "./ui";

function CommandButton({
  id,
  icon,
  disabled,
  pressed,
}: {
  id: string;
  icon: IconName;
  disabled?: boolean;
  pressed?: boolean;
}) {
  const command = commandById(id);
  return (
    <IconButton
      icon={icon}
      label={command.label}
      hint={keyOf(command)}
      disabled={disabled}
      pressed={pressed}
      onClick={command.run}
    />
  );
}

function FileName() {
  const { name, doc } = useOrigin();
  const dirty = useDirty();
  return (
    <button
      type="button"
      className="file-name"
      title={doc}
      aria-haspopup="menu"
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const commands = ["new", "open", "close", null, "save", "download-lua", "export-api"];
        openPopup({ kind: "menu", at: { x: box.left, y: box.bottom + 4 }, label: "File", commands });
      }}
    >
      <span>{name}</span>
      {dirty && (
        <span className="unsaved" title="Unsaved changes">
          <span className="spoken">, unsaved changes</span>
        </span>
      )}
      <Icon name="chevronDown" />
    </button>
  );
}

function EditButtons() {
  return (
    <>
      <CommandButton id="undo" icon="undo" disabled={!useCanUndo()} />
      <CommandButton id="redo" icon="redo" disabled={!useCanRedo()} />
    </>
  );
}

function Progress() {
  const running = useRunning();
  const percent = Math.round((running?.share ?? 0) * 100);
  return (
    <div className="overall" aria-hidden={!running}>
      {running && (
        <>
          <progress max={100} value={percent} aria-label="Run" />
          <span>
            {percent} %{running.secondsLeft != null && `, ${duration(running.secondsLeft)} left`}
          </span>
        </>
      )}
    </div>
  );
}

function RunButtons() {
  const run = commandById("run");
  const interrupt = commandById("interrupt");
  const { errors } = usePlan();
  const { connected } = useConnection();
  const waiting = useQueue().length;
  const running = useRunning() !== null;
  return (
    <div className="run-buttons">
      <button
        type="button"
        className="button primary run-button"
        disabled={!connected}
        title={errors.length > 0 ? `${errors.length} problems: ${errors[0]!.message}` : `${run.label} (${keyOf(run)})`}
        onClick={run.run}
      >
        <Icon name="play" />
        {run.label}
        {waiting > 0 && (
          <span className="count" aria-label={`${waiting} in the queue`}>
            {waiting}
          </span>
        )}
        {errors.length > 0 && (
          <span className="count warning" aria-label={`${errors.length} problems`}>
            {errors.length}
          </span>
        )}
      </button>
      <IconButton
        icon="stop"
        label={interrupt.label}
        hint={keyOf(interrupt)}
        disabled={!running}
        onClick={interrupt.run}
      />
    </div>
  );
}

export function TopBar() {
  const { left, right, log } = useUi();
  return (
    <header className="top-bar">
      <IconButton
        icon="panelLeft"
        label="Left panel"
        pressed={left !== null}
        onClick={() => setUi({ left: left === null ? "nodes" : null })}
      />
      <span className="brand">tubelet</span>
      <FileName />
      <CommandButton id="open" icon="folder" />
      <CommandButton id="save" icon="save" />
      <EditButtons />
      <PlanBar />
      <Progress />
      <RunButtons />
      <span className="separator" />
      <CommandButton id="log" icon="log" pressed={log} />
      <CommandButton id="theme" icon="sun" />
      <CommandButton id="keys" icon="help" />
      <IconButton
        icon="panelRight"
        label="Inspector"
        hint="I"
        pressed={right}
        onClick={() => setUi({ right: !right })}
      />
    </header>
  );
}
