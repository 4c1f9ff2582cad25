import { IconButton } from "../icons";
import { dismiss, useNotices } from "./notices";

export function NoticeBars() {
  return useNotices().map(({ id, kind, text, actions }) => (
    <div key={id} className={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <span>{text}</span>
      {actions?.map(({ label, run }) => (
        <button
          key={label}
          type="button"
          className="button"
          onClick={() => {
            dismiss(id);
            run();
          }}
        >
          {label}
        </button>
      ))}
      <IconButton icon="close" label="Dismiss" onClick={() => dismiss(id)} />
    </div>
  ));
}
