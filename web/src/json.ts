// json.ts - JSON as the server means it: whole numbers of 64 bits. JavaScript's own reader rounds what is beyond 2^53;
// here such a number becomes a bigint, and is written as it was read.

/** What stands in for such a number between the text and the value: no text of a graph may hold a NUL. */
const mark = "\0int:";
const written = /"\\u0000int:(-?\d+)"/g;

/** A whole number as a number where that is exact, else as a bigint. */
export const exact = (value: bigint): number | bigint => {
  const rounded = Number(value);
  return Number.isSafeInteger(rounded) ? rounded : value;
};

/** Texts, so that digits in them are passed over, and numbers. */
const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

function markLarge(token: string): string {
  const large = /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token));
  return large ? `"\\u0000int:${token}"` : token;
}

export function parseJson(text: string): unknown {
  if (!/[[:,\s]-?\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(tokens, markLarge), (_, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

export function writeJson(value: unknown, indent?: number): string {
  let large = false;
  const text = JSON.stringify(
    value,
    (_, inner: unknown) => {
      if (typeof inner !== "bigint") return inner;
      large = true;
      return mark + inner;
    },
    indent,
  );
  return large ? text.replace(written, "$1") : text;
}
