import { expect, test } from "vitest";
import { compare, line, type Row } from "./line";
import type { LogRecord } from "./types";

const record = (time: string, at: number): LogRecord => ({
  time,
  observed: time,
  message: "",
  cursor: `7f3a-${at}`,
});
const sorted = (rows: Row[], order: "arrival" | "event") =>
  [...rows]
    .sort((one, other) => compare(one, other, order))
    .map((row) => (row.kind === "line" ? row.record.cursor.slice(5) : "gap"));

test("the order of events is told apart to the nanosecond, and by arrival when it is the same", () => {
  const rows = [
    line(record("2026-11-20T08:00:00.123000002Z", 9)),
    line(record("2026-11-20T08:00:00.123Z", 11)),
    line(record("2026-11-20T08:00:00.123000Z", 10)),
    line(record("2026-11-20T08:00:00Z", 12)),
  ];
  expect(sorted(rows, "event")).toEqual(["12", "10", "11", "9"]);
  expect(sorted(rows, "arrival")).toEqual(["9", "10", "11", "12"]);
});

test("a gap stands behind the line it came after, in both orders", () => {
  const one = line(record("2026-11-20T08:00:00.5Z", 3));
  const two = line(record("2026-11-20T08:00:01Z", 9));
  const gap: Row = { kind: "gap", gap: { from: "7f3a-4", to: "7f3a-9", count: 5, why: "slow" }, at: one.at };
  expect(sorted([two, gap, one], "event")).toEqual(["3", "gap", "9"]);
  expect(sorted([two, gap, one], "arrival")).toEqual(["3", "gap", "9"]);
});

test("as they arrived, lines of a log stand by how far they are, and those of different logs by time", () => {
  const one = line({ ...record("2026-11-20T08:00:02Z", 0), cursor: "a-9" });
  const late = line({ ...record("2026-11-20T08:00:01Z", 0), cursor: "a-10" });
  const other = line({ ...record("2026-11-20T08:00:03Z", 0), cursor: "b-1" });
  expect(compare(one, late, "arrival")).toBeLessThan(0);
  expect(compare(one, other, "arrival")).toBeLessThan(0);
});
