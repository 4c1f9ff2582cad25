import { useRef, useState } from "react";

/** What is typed is shown at once, though its way through the document takes a render more. A change from elsewhere, as
 *  undo makes one, replaces it. */
export function useDraft(
  value: string,
  onChange: (text: string) => void,
): [string, (text: string) => void, () => void] {
  const [draft, setDraft] = useState<string | null>(null);
  const sent = useRef<string[]>([]);
  const seen = useRef(value);

  if (value !== seen.current) {
    seen.current = value;
    const ours = sent.current.indexOf(value);
    sent.current = sent.current.slice(ours + 1);
    if (ours < 0 && draft !== null) setDraft(null);
  }

  const type = (text: string) => {
    sent.current.push(text);
    setDraft(text);
    onChange(text);
  };
  const leave = () => {
    sent.current = [];
    setDraft(null);
  };
  return [draft ?? value, type, leave];
}
