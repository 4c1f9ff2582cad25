// ports.ts - port types: which fit, and how each looks. A type is one name, several with commas between, or `*`.

const scalars = new Set(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]);

/** Does it take a literal, so that it has a field? */
export const isScalar = (type: string) => scalars.has(type);

function nameFits(from: string, into: string): boolean {
  return from === into || (from === "INT" && into === "FLOAT") || (from === "STRING" && into === "COMBO");
}

/** The rule of the engine's tb_port_fits. */
export function portFits(from: string, into: string): boolean {
  if (from === "*" || into === "*") return true;
  const accepted = into.split(",");
  return from.split(",").some((name) => accepted.some((other) => nameFits(name, other)));
}

/** One letter a type, because a colour alone tells too few people anything. Colours: theme.css, `--port-NAME`. */
const letters: Record<string, string> = {
  MODEL: "M",
  CLIP: "C",
  VAE: "V",
  CLIP_VISION: "Y",
  CLIP_VISION_OUTPUT: "O",
  CONDITIONING: "D",
  LATENT: "L",
  IMAGE: "I",
  VIDEO: "W",
  MASK: "K",
  SIGMAS: "σ",
  VELOCITY: "U",
  FILE: "P",
  AUDIO: "A",
  INT: "N",
  FLOAT: "F",
  STRING: "S",
  BOOLEAN: "B",
  COMBO: "E",
  "*": "∗",
};

export interface PortLook {
  letter: string;
  colour: string;
}

const looks = new Map<string, PortLook>();

export function portLook(type: string): PortLook {
  let look = looks.get(type);
  if (!look) {
    const first = type.split(",")[0]!;
    const known = first in letters;
    look = {
      letter: letters[first] ?? first.charAt(0).toUpperCase(),
      colour: known && first !== "*" ? `var(--port-${first})` : "var(--port-other)",
    };
    looks.set(type, look);
  }
  return look;
}

/** "IMAGE,VIDEO" as people read it. */
export const portName = (type: string) => (type === "*" ? "anything" : type.split(",").join(" or ").toLowerCase());
