import { expect, test } from "vitest";
import { clock, exact, fromInput, short, span, toInput } from "./time";

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
