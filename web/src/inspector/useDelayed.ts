import { useEffect, useRef, useState } from "react";

const delayMs = 350;

/** A value that is shown at once and handed on when it has rested; another value from outside replaces it. */
export function useDelayed<T>(value: T, onRest: (value: T) => void): [T, (value: T) => void] {
  const [held, setHeld] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const rest = useRef(onRest);
  rest.current = onRest;
  useEffect(() => setHeld(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (next: T) => {
    setHeld(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => rest.current(next), delayMs);
  };
  return [held, change];
}
