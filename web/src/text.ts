/*
Log text on its way to the page: pieces of plain text with a look. Nothing here makes HTML; the page shows each
piece as a text node. Colours of terminals (SGR) are kept; every other control character, and the invisible ones
that reorder text, are shown as visible signs, so that a line can hide nothing.
*/
export interface Piece {
  text: string;
  /** Class names: `sgr-31 bold control hit found`. */
  look: string;
  color?: string;
  background?: string;
}

interface Ink {
  classes: Set<string>;
  color?: string;
  background?: string;
}

const SPECIAL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /\x1b\[([0-9;:]*)m|[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const ATTRIBUTES: Record<number, string> = {
  1: "bold",
  2: "faint",
  3: "italic",
  4: "underline",
  7: "inverse",
  9: "struck",
};
const ATTRIBUTE_OFF: Record<number, string[]> = {
  22: ["bold", "faint"],
  23: ["italic"],
  24: ["underline"],
  27: ["inverse"],
  29: ["struck"],
};

/** A visible sign for a character that has none. */
export function visible(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** Split a message into pieces; `multiline` keeps line ends, `marks` are [pattern, class] pairs (global patterns). */
export function pieces(
  message: string,
  multiline: boolean,
  marks: readonly (readonly [RegExp, string])[],
): Piece[] {
  const parts: Piece[] = [];
  const ink: Ink = { classes: new Set() };
  let end = 0;
  for (const match of message.matchAll(SPECIAL)) {
    if (match.index > end) parts.push(inked(message.slice(end, match.index), ink));
    end = match.index + match[0].length;
    if (match[1] !== undefined) applySgr(ink, match[1]);
    else if (match[0] === "\n" && multiline) parts.push(inked("\n", ink));
    else parts.push({ text: match[0] === "\n" ? "\u21b5" : visible(match[0]), look: "control" });
  }
  if (end < message.length) parts.push(inked(message.slice(end), ink));
  return marks.reduce((marked, [pattern, look]) => mark(marked, pattern, look), parts);
}

function inked(text: string, ink: Ink): Piece {
  const piece: Piece = { text, look: [...ink.classes].join(" ") };
  if (ink.color) piece.color = ink.color;
  if (ink.background) piece.background = ink.background;
  return piece;
}

function applySgr(ink: Ink, parameters: string): void {
  const codes = parameters === "" ? [0] : parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (code === 38 || code === 48) {
      at += extended(ink, code, codes.slice(at + 1));
      continue;
    }
    applyCode(ink, code);
  }
}

function applyCode(ink: Ink, code: number): void {
  if (code === 0) {
    ink.classes.clear();
    ink.color = ink.background = undefined;
  } else if (ATTRIBUTES[code]) ink.classes.add(ATTRIBUTES[code]);
  else if (ATTRIBUTE_OFF[code]) for (const name of ATTRIBUTE_OFF[code]) ink.classes.delete(name);
  else if ((code >= 30 && code <= 39) || (code >= 90 && code <= 97))
    setColor(ink, code, code !== 39, /^sgr-[39]/);
  else if ((code >= 40 && code <= 49) || (code >= 100 && code <= 107))
    setColor(ink, code, code !== 49, /^sgr-(4|10)/);
}

function setColor(ink: Ink, code: number, on: boolean, same: RegExp): void {
  for (const name of ink.classes) if (same.test(name)) ink.classes.delete(name);
  if (same.test("sgr-30")) ink.color = undefined;
  else ink.background = undefined;
  if (on) ink.classes.add(`sgr-${code}`);
}

/** Take a colour of 256 (5;n) or of 16 million (2;r;g;b); returns how many codes it used. */
function extended(ink: Ink, code: number, rest: number[]): number {
  let color: string | undefined;
  let used = 1;
  if (rest[0] === 5) {
    used = 2;
    color = palette(rest[1] ?? 0);
  } else if (rest[0] === 2) {
    used = 4;
    color = `rgb(${rest
      .slice(1, 4)
      .map((part) => Math.min(255, part || 0))
      .join(" ")})`;
  }
  if (code === 38) ink.color = color;
  else ink.background = color;
  return used;
}

const BASE = ["#3b4252", "#c94f4f", "#4e9a51", "#b98a1d", "#4178c4", "#9a5cb4", "#2b95a0", "#b8bfca"];
const BRIGHT = ["#6b7385", "#e06c6c", "#6dbb70", "#d6a93c", "#6699e0", "#bb80d2", "#4fb6c1", "#e6eaf0"];

function palette(index: number): string {
  if (index < 8) return BASE[index] as string;
  if (index < 16) return BRIGHT[index - 8] as string;
  if (index > 231) {
    const grey = 8 + 10 * (Math.min(index, 255) - 232);
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const step = (value: number) => (value === 0 ? 0 : 55 + 40 * value);
  const cube = index - 16;
  return `rgb(${step(Math.floor(cube / 36))} ${step(Math.floor(cube / 6) % 6)} ${step(cube % 6)})`;
}

/** Add a class to the text that a pattern matches, across the borders of pieces. */
function mark(parts: Piece[], pattern: RegExp, look: string): Piece[] {
  const plain = parts.map((part) => part.text).join("");
  const hits: [number, number][] = [];
  pattern.lastIndex = 0;
  for (const match of plain.matchAll(pattern)) {
    if (match[0] !== "") hits.push([match.index, match.index + match[0].length]);
    if (hits.length >= 1000) break;
  }
  if (hits.length === 0) return parts;
  const out: Piece[] = [];
  let start = 0;
  let next = 0;
  for (const part of parts) {
    const stop = start + part.text.length;
    let at = start;
    while (at < stop) {
      while (next < hits.length && (hits[next] as [number, number])[1] <= at) next++;
      const [from, to] = hits[next] ?? [stop, stop];
      const inside = from <= at;
      const until = Math.min(stop, inside ? to : from);
      const piece = { ...part, text: part.text.slice(at - start, until - start) };
      if (inside) piece.look = piece.look === "" ? look : `${piece.look} ${look}`;
      out.push(piece);
      at = until;
    }
    start = stop;
  }
  return out;
}
