import { useOrigin } from "../document/session";
import { Section } from "./Section";

const around = 4;

/** Without the spaces that all lines begin with. */
function dedent(lines: readonly string[]): string[] {
  const indents = lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length);
  return lines.map((line) => line.slice(Math.min(...indents)));
}

/** The lines of the script that made the node, where they are known. */
export function SourceLines({ origin }: { origin: string | undefined }) {
  const { source, path, name } = useOrigin();
  const match = origin?.match(/^(.*):(\d+)$/);
  if (!match) return null;
  const [, file, number] = match;
  const line = Number(number);
  const ours = source !== undefined && [path, name].some((known) => known !== undefined && file!.endsWith(known));
  const lines = ours ? source.split("\n") : [];
  const first = Math.max(1, line - around);
  const shown = dedent(lines.slice(first - 1, line + around));
  return (
    <Section title="Made at">
      <p>
        <code>{origin}</code>
      </p>
      {shown.length > 0 && (
        <pre
          className="source-lines"
          tabIndex={0}
          aria-label={`Lines ${first} to ${first + shown.length - 1} of ${file}`}
        >
          {shown.map((text, i) => (
            <span key={i} className={first + i === line ? "source-line current" : "source-line"}>
              <span className="line-number">{first + i}</span>
              {text || " "}
              {"\n"}
            </span>
          ))}
        </pre>
      )}
    </Section>
  );
}
