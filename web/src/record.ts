/* Reading one record. */
import type { Row } from "./line";
import type { Rows } from "./rows";
import type { LogRecord } from "./types";

/** The text of a field: a label, else a parsed field, whose dotted name may lead into nested ones; "" without one. */
export function text(record: LogRecord, name: string): string {
  let value = (record as unknown as Record<string, unknown>)[name] ?? record.fields?.[name];
  if (value === undefined && name.includes(".")) {
    value = name
      .split(".")
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], record.fields);
  }
  return value === undefined || value === null
    ? ""
    : typeof value === "string"
      ? value
      : JSON.stringify(value);
}

/** Milliseconds from when it happened to when it was seen. */
export function delay(record: LogRecord): number {
  return Date.parse(record.observed) - Date.parse(record.time);
}

const NAMED_MAX = 12;
const LOOKED_AT = 50;

/** What a query over messages of a topic can name, with what the newest of them have. */
export function messageFields(rows: Rows<Row>): string[] {
  const found = new Set<string>();
  for (let id = Math.max(rows.first, rows.next - LOOKED_AT); id < rows.next; id++) {
    const row = rows.get(id);
    if (row?.kind !== "line") continue;
    for (const part of ["headers", "value"])
      for (const name of Object.keys((row.record.fields?.[part] as object | undefined) ?? {}))
        if (/^[A-Za-z_][\w.]*$/.test(name)) found.add(`${part}.${name}:`);
  }
  const plain = ["key:", "partition=", "offset>=", "size>", "decoded="];
  return [...plain, "headers.", "value.", ...[...found].sort().slice(0, NAMED_MAX)];
}
