// icons.tsx - 16 x 16 line icons, drawn with the colour of the text beside them.

const paths = {
  add: "M8 3v10M3 8h10",
  again: "M13 8a5 5 0 11-1.5-3.6M13 2.5v3h-3",
  branch: "M5 2v12M5 10c0-3 6-2 6-5V2",
  bypass: "M2 11c3 0 3-6 6-6s3 6 6 6M11 9l3 2-2 3",
  cached: "M8 2l6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
  check: "M3 8.5l3.5 3.5L13 5",
  chevronDown: "M4 6l4 4 4-4",
  chevronRight: "M6 4l4 4-4 4",
  clock: "M8 14A6 6 0 108 2a6 6 0 000 12zM8 5v3.5l2 1.5",
  close: "M4 4l8 8M12 4l-8 8",
  compare: "M8 2v12M3 5h2.5v6H3zM10.5 5H13v6h-2.5z",
  cross: "M8 14A6 6 0 108 2a6 6 0 000 12zM6 6l4 4M10 6l-4 4",
  dice: "M3 3h10v10H3zM6 6h.01M10 10h.01M8 8h.01M10 6h.01M6 10h.01",
  done: "M3 8.5l3.5 3.5L13 5",
  download: "M8 3v7M5 7l3 3 3-3M3 13h10",
  error: "M8 2l6.5 11.5h-13zM8 6.5v3.5M8 12h.01",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  folder: "M2 4h4l1.5 2H14v7H2z",
  frameBack: "M11 4L6.5 8l4.5 4zM4.5 4v8",
  frameForward: "M5 4l4.5 4L5 12zM11.5 4v8",
  graph: "M2.5 3.5h4v3h-4zM9.5 9.5h4v3h-4zM6.5 5c3 0 0 6 3 6",
  help: "M6 6a2 2 0 114 0c0 1.5-2 1.5-2 3M8 12h.01M8 15A7 7 0 108 1a7 7 0 000 14z",
  keyboard: "M1.5 4h13v8h-13zM4 6.5h.01M6.5 6.5h.01M9 6.5h.01M11.5 6.5h.01M5 9.5h6",
  log: "M3 4h10M3 8h10M3 12h6",
  map: "M2 3h12v10H2zM8 8h4v3H8z",
  moon: "M13 9.5A5.5 5.5 0 016.5 3a5.5 5.5 0 106.5 6.5z",
  mute: "M2 6v4h3l3 3V3L5 6zM11 6l3 4M14 6l-3 4",
  next: "M6 3.5L10.5 8 6 12.5",
  panelLeft: "M2 3h12v10H2zM6 3v10",
  panelRight: "M2 3h12v10H2zM10 3v10",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  pin: "M6 2h4l-.5 5L12 9v1H4V9l2.5-2zM8 10v4",
  play: "M5 3l8 5-8 5z",
  previous: "M10 3.5L5.5 8l4.5 4.5",
  redo: "M11 3l3 3-3 3M14 6H7a4 4 0 000 8h3",
  running: "M8 2a6 6 0 106 6",
  save: "M3 2h8l3 3v9H2V2zM5 2v4h5V2M5 14V9h6v5",
  search: "M7 12A5 5 0 107 2a5 5 0 000 10zM11 11l3.5 3.5",
  steps: "M2 5h3v6H2zM6.5 5h3v6h-3zM11 5h3v6h-3z",
  stop: "M4 4h8v8H4z",
  stopped: "M4 4h8v8H4z",
  sun: "M8 11a3 3 0 100-6 3 3 0 000 6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M13 3l-1.5 1.5M4.5 11.5L3 13",
  trash: "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5l.5 9h6l.5-9",
  undo: "M5 3L2 6l3 3M2 6h7a4 4 0 010 8H6",
  upload: "M8 11V3M5 6l3-3 3 3M2 11v3h12v-3",
  warning: "M8 2l6.5 11.5h-13zM8 6.5v3.5M8 12h.01",
  zoomIn: "M7 12A5 5 0 107 2a5 5 0 000 10zM11 11l3.5 3.5M7 5v4M5 7h4",
  zoomOut: "M7 12A5 5 0 107 2a5 5 0 000 10zM11 11l3.5 3.5M5 7h4",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

interface IconButtonProps {
  icon: IconName;
  label: string;
  /** Shown with the label in the tooltip. */
  hint?: string;
  pressed?: boolean;
  disabled?: boolean;
  className?: string;
  onClick: () => void;
}

export function IconButton({ icon, label, hint, pressed, disabled, className, onClick }: IconButtonProps) {
  return (
    <button
      type="button"
      className={`icon-button nodrag ${className ?? ""}`}
      aria-label={label}
      aria-pressed={pressed}
      title={hint ? `${label} (${hint})` : label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
