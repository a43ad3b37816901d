/*
Positions as the server writes them. A cursor, `7f3a-1042`, is a place in one log; cursors joined by dots are a place in
each of several (the partitions of a topic). Places in different logs cannot be compared: all of this is log by log. A
log that a position does not name stands at its beginning there.
*/

/** How far in each log. */
export type Places = ReadonlyMap<string, number>;

/** Which log a cursor is in. */
export function log(cursor: string): string {
  return cursor.slice(0, cursor.indexOf("-"));
}

/** How far in its log a cursor is; NaN when it is none. */
export function offset(cursor: string): number {
  return Number(cursor.slice(cursor.indexOf("-") + 1));
}

/** The places of a position; none of what is no position. */
export function places(position: string): Map<string, number> {
  const cursors = position.split(".").filter((cursor) => cursor.includes("-"));
  return new Map(cursors.map((cursor) => [log(cursor), offset(cursor)]));
}

/** These places as the server reads them. */
export function position(places: Places): string {
  return [...places].map(([log, offset]) => `${log}-${offset}`).join(".");
}

/** Whether a record, by its cursor, stands before a position. */
export function before(cursor: string, position: Places): boolean {
  return offset(cursor) < (position.get(log(cursor)) ?? 0);
}

/** Whether one position is as far as another, in each log. */
export function reached(one: Places, other: Places): boolean {
  return [...other].every(([log, offset]) => offset <= (one.get(log) ?? 0));
}

/** The logs of `next`, each as far as the further of the two positions is. */
export function furthest(known: Places, next: Places): Places {
  return new Map([...next].map(([log, offset]) => [log, Math.max(offset, known.get(log) ?? 0)]));
}

/** How many records lie between two positions, in all logs together. */
export function between(first: Places, last: Places): number {
  let records = 0;
  for (const [log, offset] of last) records += offset - (first.get(log) ?? 0);
  return records;
}
