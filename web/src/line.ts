/* A row of the page, and the order rows stand in. */
import { log, offset } from "./position";
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

const place = (row: Row) => (row.kind === "line" ? row.record.cursor : row.gap.from || row.gap.to || "");

/** Digits of a second behind the milliseconds: what `Date.parse` does not keep. */
const digits = (row: Row) =>
  row.kind === "line" ? (/\.\d{3}(\d*)/.exec(row.record.time)?.[1] ?? "").padEnd(6, "0") : "999999";

export type Order = "arrival" | "event";

/**
 * Sorts rows: as they arrived, or by the time of the event and then as they arrived. Different logs (partitions) have no
 * order of arrival among each other: theirs is that of time.
 */
export function compare(one: Row, other: Row, order: Order): number {
  if (order === "event") {
    if (one.at !== other.at) return one.at - other.at;
    const [mine, others] = [digits(one), digits(other)];
    if (mine !== others) return mine < others ? -1 : 1;
  }
  const [mine, others] = [place(one), place(other)];
  return (log(mine) === log(others) ? offset(mine) - offset(others) : one.at - other.at) || 0;
}
