import { useStore } from "../store";
import { assertive, polite } from "./announce";

const whole = (text: string) => text;

export function Announcer() {
  const said = useStore(polite, whole);
  const urgent = useStore(assertive, whole);
  return (
    <div className="spoken">
      <div role="status" aria-live="polite">
        {said}
      </div>
      <div role="alert" aria-live="assertive">
        {urgent}
      </div>
    </div>
  );
}
