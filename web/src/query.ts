/*
The text of a query, as far as the page has to understand it: its tokens, to colour them; its words, to mark them
in the lines; and adding or removing one comparison when a person clicks. What a query means is the server's.
*/
export type TokenKind =
  | "space"
  | "word"
  | "field"
  | "operator"
  | "text"
  | "regex"
  | "pipe"
  | "bracket"
  | "logic";

export interface Token {
  kind: TokenKind;
  text: string;
  start: number;
}

const TOKEN =
  /(?<space>\s+)|(?<text>"(?:[^"\\]|\\.)*"?)|(?<pipe>\|\|?)|(?<bracket>[()[\]])|(?<operator>!=|>=|<=|[:=<>!,]|&&)|(?<word>[^\s"|()[\]:=<>!,]+)/gy;
const REGEX = /\/(?:[^/\\]|\\.)+\/[a-z]*/y;
const LOGIC = new Set(["and", "or", "not"]);

export function tokens(query: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < query.length) {
    const before = found.at(-1);
    const token = next(query, at, before === undefined || before.kind !== "word");
    found.push(token);
    at += token.text.length;
  }
  return found.map((token, index) => named(token, found[index + 1]));
}

function next(query: string, start: number, valueMayBegin: boolean): Token {
  if (valueMayBegin && query[start] === "/") {
    REGEX.lastIndex = start;
    const regex = REGEX.exec(query);
    if (regex) return { kind: "regex", text: regex[0], start };
  }
  TOKEN.lastIndex = start;
  const match = TOKEN.exec(query);
  const kind = Object.entries(match?.groups ?? {}).find(([, text]) => text !== undefined)?.[0] ?? "word";
  const text = match?.[0] ?? (query[start] as string);
  if (text === "||" || text === "&&" || text === "!") return { kind: "logic", text, start };
  return { kind: kind as TokenKind, text, start };
}

function named(token: Token, after: Token | undefined): Token {
  if (token.kind !== "word") return token;
  if (after?.kind === "operator" && after.text !== ",") return { ...token, kind: "field" };
  return LOGIC.has(token.text.toLowerCase()) ? { ...token, kind: "logic" } : token;
}

/** The filter and the pipes (from the first `|` on) of a query. */
export function split(query: string): [string, string] {
  const pipe = tokens(query).find((token) => token.kind === "pipe");
  return pipe ? [query.slice(0, pipe.start).trimEnd(), query.slice(pipe.start)] : [query.trimEnd(), ""];
}

/** Whether the answer is a table instead of lines. */
export function aggregates(query: string): boolean {
  return /\|\s*(stats|timechart|top|uniq|patterns)\b/.test(split(query)[1]);
}

/** The query with the name that is being written at its end completed, in each way that there is. */
export function complete(query: string, names: readonly string[]): string[] {
  const written = /(?:^|[\s(-])([\w.]+)$/.exec(query)?.[1] ?? "";
  if (written === "") return [];
  const before = query.slice(0, query.length - written.length);
  return names.filter((name) => name.startsWith(written) && name !== written).map((name) => before + name);
}

export function quoted(value: string): string {
  return /^[\p{L}\p{N}_]+$/u.test(value) && !LOGIC.has(value.toLowerCase()) ? value : JSON.stringify(value);
}

function clause(field: string, value: string): string {
  return `${field}=${quoted(value)}`;
}

/** Top-level parts of a filter that are joined by *and*: what stands between spaces outside quotes and brackets. */
function parts(filter: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let part = "";
  for (const token of tokens(filter)) {
    if (token.text === "(" || token.text === "[") depth++;
    if (token.text === ")" || token.text === "]") depth--;
    if (token.kind === "space" && depth === 0) {
      if (part !== "") found.push(part);
      part = "";
    } else part += token.text;
  }
  return part === "" ? found : [...found, part];
}

/** Whether the query asks for this value (1), against it (-1) or neither (0). */
export function asks(query: string, field: string, value: string): -1 | 0 | 1 {
  const present = parts(split(query)[0]);
  if (present.includes(clause(field, value))) return 1;
  return present.includes(`-${clause(field, value)}`) ? -1 : 0;
}

/** Ask for a value, or against it; asking again for what is asked already takes it back. */
export function toggle(query: string, field: string, value: string, wanted: boolean): string {
  return put(query, clause(field, value), wanted);
}

/** Ask for messages of a shape (`user * logged in`), or against them. */
export function toggleShape(query: string, shape: string, wanted: boolean): string {
  const pieces = shape.split("*").map((piece) => piece.replace(/[.+?^${}()|[\]\\/]/g, "\\$&"));
  const pattern = pieces
    .join(".*")
    .replace(/(\.\*)+$/, "")
    .replaceAll("\n", "\\n");
  return put(query, `/^${pattern}/`, wanted);
}

function put(query: string, asked: string, wanted: boolean): string {
  const [filter, pipes] = split(query);
  const wish = `${wanted ? "" : "-"}${asked}`;
  const opposite = `${wanted ? "-" : ""}${asked}`;
  let kept = parts(filter);
  if (kept.includes(wish)) kept = kept.filter((part) => part !== wish);
  else {
    kept = kept.filter((part) => part !== opposite && part !== "*");
    const needsBrackets = kept.some((part) => /^(or|\|\|)$/i.test(part));
    kept = [...(needsBrackets ? [`(${kept.join(" ")})`] : kept), wish];
  }
  return `${kept.join(" ")}${pipes === "" ? "" : `${kept.length ? " " : "* "}${pipes}`}`;
}

/** Patterns for the words that a query looks for in messages, to mark them. */
export function marks(query: string): RegExp[] {
  const list = tokens(split(query)[0]);
  const found: RegExp[] = [];
  let negated = false;
  list.forEach((token, index) => {
    if (token.kind === "logic") negated = /^(not|!)$/i.test(token.text);
    else if (token.kind !== "space" && token.kind !== "bracket") {
      const before = list[index - 1];
      const ofMessage = before?.text !== ":" || /^(message|\*)$/.test(list[index - 2]?.text ?? "");
      const compared = before?.kind === "operator" && before.text !== ":";
      if (!negated && ofMessage && !compared) found.push(...pattern(token));
      if (token.kind !== "field" && token.kind !== "operator") negated = false;
    }
  });
  return found;
}

function pattern(token: Token): RegExp[] {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  if (token.kind === "regex") {
    const end = token.text.lastIndexOf("/");
    return compile(token.text.slice(1, end), token.text.slice(end + 1).includes("i") ? "gi" : "g");
  }
  if (token.kind === "text")
    return compile(literal(token.text.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1")), "gi");
  if (token.kind !== "word" || token.text.startsWith("-") || /^[*?]+$/.test(token.text)) return [];
  return compile(literal(token.text).replace(/\\\*/g, "[\\p{L}\\p{N}_]*").replace(/\\\?/g, "."), "giu");
}

function compile(source: string, flags: string): RegExp[] {
  if (source === "") return [];
  try {
    return [new RegExp(source, flags)];
  } catch {
    // What the server's engine understands and the browser's does not is found all the same, only not marked.
    return [];
  }
}
