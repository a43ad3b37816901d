/* A row of the page, the order rows stand in, and positions as the server writes them (`7f3a-1042`). */
import type { Gap, LogRecord } from "./types";

export interface Line {
  kind: "line";
  record: LogRecord;
  /** Milliseconds of its time. */
  at: number;
  /** It arrived after lines that are much newer. */
  late: boolean;
}

export interface Hole {
  kind: "gap";
  gap: Gap;
  /** It stands behind the line it came after. */
  at: number;
}

export type Row = Line | Hole;

export function line(record: LogRecord, late = false): Line {
  return { kind: "line", record, at: Date.parse(record.time), late };
}

/** How far in its log a position is; NaN when it is none. */
export function offset(position: string): number {
  return Number(position.slice(position.indexOf("-") + 1));
}

/** Whether one position of a log stands before another of the same log. */
export function before(one: string, other: string): boolean {
  return offset(one) < offset(other);
}

const position = (row: Row) =>
  offset(row.kind === "line" ? row.record.cursor : row.gap.from || row.gap.to || "");

/** Digits of a second behind the milliseconds: what `Date.parse` does not keep. */
const digits = (row: Row) =>
  row.kind === "line" ? (/\.\d{3}(\d*)/.exec(row.record.time)?.[1] ?? "").padEnd(6, "0") : "999999";

export type Order = "arrival" | "event";

/** Sorts rows: as they arrived, or by the time of the event and then as they arrived. */
export function compare(one: Row, other: Row, order: Order): number {
  if (order === "event") {
    if (one.at !== other.at) return one.at - other.at;
    const [mine, others] = [digits(one), digits(other)];
    if (mine !== others) return mine < others ? -1 : 1;
  }
  return position(one) - position(other) || 0;
}
