import { useRef, type KeyboardEvent } from "react";
import { useDirty, useOrigin } from "../document/session";
import { closeTab, switchTo } from "../document/switch";
import { isTabDirty, originOfTab, useTabs } from "../document/tabs";
import { IconButton } from "../icons";

const keySteps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1 };

/** The graphs that are open; nothing while it is one. */
export function GraphTabs() {
  const tabs = useTabs();
  const strip = useRef<HTMLDivElement>(null);
  useOrigin(); // the name of the shown one
  useDirty();
  const { list, current } = tabs;
  const onKeyDown = (event: KeyboardEvent) => {
    const step = keySteps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (current + step + list.length) % list.length;
    void switchTo(next);
    strip.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  return (
    <div ref={strip} className="graph-tabs" role="tablist" aria-label="Open graphs" onKeyDown={onKeyDown}>
      {list.length > 1 &&
        list.map((_, i) => {
          const { name, path, id } = originOfTab(tabs, i);
          const shown = i === current;
          return (
            <span key={path ?? id ?? i} className="graph-tab" role="presentation" data-current={shown || undefined}>
              <button
                type="button"
                role="tab"
                aria-selected={shown}
                tabIndex={shown ? 0 : -1}
                title={path}
                onClick={() => void switchTo(i)}
              >
                <span>{name}</span>
                {isTabDirty(tabs, i) && (
                  <span className="unsaved">
                    <span className="spoken">, unsaved changes</span>
                  </span>
                )}
              </button>
              <IconButton icon="close" label={`Close ${name}`} onClick={() => void closeTab(i)} />
            </span>
          );
        })}
    </div>
  );
}
