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

test("merged lines stand where a sort would put them, and only those behind them get higher ids", () => {
  const held = [1, 4, 9, 16, 25];
  for (const batch of [[5], [0, 2], [30], [9, 10, 40]]) {
    const rows = new Rows<number>(16);
    for (const value of held) rows.push(value);
    rows.merge(batch, (one, other) => one - other);
    const found = Array.from({ length: rows.size }, (_, id) => rows.get(id));
    expect(found).toEqual([...held, ...batch].sort((one, other) => one - other));
    expect(rows.first).toBe(0);
  }
});

test("a line that is merged into a full ring pushes the oldest out", () => {
  const rows = new Rows<number>(4);
  for (const value of [10, 20, 30, 40]) rows.push(value);
  rows.merge([25], (one, other) => one - other);
  expect([rows.first, rows.get(1), rows.get(2), rows.get(4)]).toEqual([1, 20, 25, 40]);
});

test("a sort keeps the ids dense and forgets the heights", () => {
  const rows = new Rows<number>(4);
  for (const value of [7, 3, 9, 1, 5]) rows.push(value);
  rows.setExtra(2, 50);
  rows.sort((one, other) => one - other);
  expect([1, 2, 3, 4].map((id) => rows.get(id))).toEqual([1, 3, 5, 9]);
  expect(rows.top(rows.next, 10)).toBe(40);
});
