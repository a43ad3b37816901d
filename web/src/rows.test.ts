import { expect, test } from "vitest";
import { Rows } from "./rows";

function filled(count: number, capacity = 8): Rows<number> {
  const rows = new Rows<number>(capacity);
  for (let value = 0; value < count; value++) rows.push(value);
  return rows;
}

test("the oldest line goes when the ring is full", () => {
  const rows = filled(11);
  expect([rows.first, rows.next, rows.get(2), rows.get(3), rows.get(10)]).toEqual([3, 11, undefined, 3, 10]);
});

test("older pages get ids below the first and the others keep theirs", () => {
  const rows = filled(3);
  expect(rows.unshift(-1)).toBe(true);
  expect([rows.first, rows.get(-1), rows.get(0), rows.get(2)]).toEqual([-1, -1, 0, 2]);
});

test("a full ring refuses older lines", () => {
  expect(filled(8).unshift(-1)).toBe(false);
});

test("positions and heights agree with a plain sum, across the seam of the ring", () => {
  const rows = filled(21);
  for (let id = rows.first; id < rows.next; id++) rows.setExtra(id, (id * 7) % 5);
  let y = 0;
  for (let id = rows.first; id <= rows.next; id++) {
    expect(rows.top(id, 10)).toBe(y);
    if (id === rows.next) break;
    expect(rows.at(y, 10)).toBe(id);
    expect(rows.at(y + 9, 10)).toBe(id);
    y += 10 + rows.extra(id);
  }
});

test("the height of a line that left is forgotten", () => {
  const rows = filled(8);
  rows.setExtra(0, 100);
  rows.push(8);
  expect(rows.top(rows.next, 10)).toBe(80);
});

test("the end of an empty ring is at its top", () => {
  const rows = new Rows<number>(8);
  expect([rows.top(0, 10), rows.at(50, 10)]).toEqual([0, 0]);
});
