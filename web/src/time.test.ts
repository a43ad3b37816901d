import { expect, test } from "vitest";
import { clock, exact, fromInput, round, short, span, ticks, toInput } from "./time";

const TIME = "2026-11-20T08:00:00.123456789Z";

test("the clock shows milliseconds", () => {
  expect(clock(Date.parse(TIME), true)).toBe("08:00:00.123");
});

test("the exact time keeps nanoseconds", () => {
  expect(exact(TIME, true)).toBe("2026-11-20 08:00:00.123456789Z");
});

test("an input's text reads back as the same second", () => {
  for (const utc of [true, false]) {
    expect(fromInput(toInput(Date.parse(TIME), utc), utc)).toBe(Date.parse("2026-11-20T08:00:00Z"));
  }
});

test("lengths of time are read and written", () => {
  expect([span("15m"), span("7d"), span("x")]).toEqual([900_000, 604_800_000, Number.NaN]);
  expect([12, 3400, 120_000, 7_200_000, 172_800_000].map(short)).toEqual([
    "12 ms",
    "3.4 s",
    "2 min",
    "2 h",
    "2 d",
  ]);
});

test("ticks stand at round moments inside the range", () => {
  const [from, to] = [Date.parse("2026-11-20T08:03:10Z"), Date.parse("2026-11-20T08:58:00Z")];
  const found = ticks(from, to, 6, true).map((at) => clock(at, true).slice(0, 5));
  expect(found).toEqual(["08:10", "08:20", "08:30", "08:40", "08:50"]);
});

test("a scale ends at a round number that is not less", () => {
  expect([1, 3, 7, 10, 11, 350].map(round)).toEqual([1, 4, 8, 10, 12, 400]);
});
