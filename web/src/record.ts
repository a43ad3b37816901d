/* Reading one record. */
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
