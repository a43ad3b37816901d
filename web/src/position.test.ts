import { expect, test } from "vitest";
import { before, between, furthest, places, position, reached } from "./position";

const of = places;

test("a position is read and written as the server does it", () => {
  expect(position(of("a-10.7f3a-20"))).toBe("a-10.7f3a-20");
  expect(position(of("7f3a-20"))).toBe("7f3a-20");
  expect(of("").size).toBe(0);
});

test("a record is before a position when it is so in its own log", () => {
  const here = of("a-10.b-20");
  expect(["a-9", "a-10", "b-19", "b-20", "c-0"].map((cursor) => before(cursor, here))).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
});

test("a position is as far as another when it is so in each log, also one that it does not name", () => {
  expect(reached(of("a-10.b-20"), of("a-10.b-20"))).toBe(true);
  expect(reached(of("a-11.b-19"), of("a-10.b-20"))).toBe(false);
  expect(reached(of("a-10"), of("a-10.b-0"))).toBe(true);
  expect(reached(of("a-10"), of("a-10.b-1"))).toBe(false);
  expect(reached(of("a-10.b-1"), of("a-10"))).toBe(true);
});

test("of two positions the further place counts in each log, and logs that are gone are forgotten", () => {
  expect(position(furthest(of("a-10.b-2.gone-7"), of("a-5.b-9.new-3")))).toBe("a-10.b-9.new-3");
});

test("records between positions are counted in all logs together", () => {
  expect(between(of("a-10"), of("a-12.b-5"))).toBe(7);
});
