import { expect, test } from "vitest";
import { Counts } from "./counts";
import type { Delta } from "./types";

const delta = (change: Partial<Delta>): Delta => ({ levels: {}, facets: {}, patterns: {}, ...change });

test("what frames add is summed up, the most frequent first", () => {
  const counts = new Counts();
  counts.add(delta({ levels: { info: 3 }, facets: { service: { web: 1, shop: 2 } } }), false);
  counts.add(delta({ levels: { error: 1, info: 1 }, facets: { service: { web: 5 } } }), true);
  expect(counts.fields).toEqual(["level", "service"]);
  expect(counts.top("level", 9)).toEqual([
    { value: "info", count: 4 },
    { value: "error", count: 1 },
  ]);
  expect(counts.top("service", 1)).toEqual([{ value: "web", count: 6 }]);
});

test("a shape is new when it comes live and was not in what the tail began with", () => {
  const counts = new Counts();
  counts.add(delta({ patterns: { "user * in": 5 } }), false);
  counts.add(delta({ patterns: { "user * in": 1, "disk * full": 1, "…": 3 } }), true);
  expect(counts.patterns(9).map(({ text, count, isNew }) => [text, count, isNew])).toEqual([
    ["disk * full", 1, true],
    ["user * in", 6, false],
    ["…", 3, false],
  ]);
});

test("the rate of a shape comes near to what it is, and ends", () => {
  const counts = new Counts();
  counts.add(delta({ patterns: { a: 1e9 } }), false);
  for (let second = 0; second < 30; second++) {
    counts.add(delta({ patterns: { a: 10 } }), true);
    counts.tick(1);
  }
  expect(counts.patterns(1)[0]?.perSecond).toBeCloseTo(10, 1);
  for (let second = 0; second < 30; second++) counts.tick(1);
  expect(counts.patterns(1)[0]?.perSecond).toBe(0);
});

test("however many values there are, memory is bounded and the sum stays", () => {
  const counts = new Counts();
  for (let start = 0; start < 20_000; start += 100) {
    const values = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`value ${start + at}`, 1]));
    counts.add(delta({ facets: { user: { ...values, root: 7 } }, patterns: { ...values, root: 7 } }), true);
  }
  const all = counts.top("user", 99_999);
  expect(all.length).toBeLessThanOrEqual(2001);
  expect(counts.patterns(99_999).length).toBeLessThanOrEqual(2001);
  const sum = (list: { count: number }[]) => list.reduce((total, { count }) => total + count, 0);
  expect([sum(all), sum(counts.patterns(99_999))]).toEqual([21_400, 21_400]);
  expect(all.find(({ value }) => value === "root")?.count).toBe(1400);
});
