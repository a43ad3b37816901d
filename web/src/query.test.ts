import { expect, test } from "vitest";
import { aggregates, asks, complete, marks, split, toggle, toggleShape, tokens } from "./query";

test("tokens put together are the query", () => {
  for (const query of [
    'a:"b | c" or /x\\/y/i | stats count() by level',
    "-level=info (a b",
    'broken "quote',
    "支付 失败",
  ]) {
    expect(
      tokens(query)
        .map((token) => token.text)
        .join(""),
    ).toBe(query);
  }
});

test("a pipe inside quotes does not split", () => {
  expect(split('"a | b" | limit 5')).toEqual(['"a | b"', "| limit 5"]);
});

test("a double bar is an or", () => {
  expect(split("a || b")).toEqual(["a || b", ""]);
});

test("asking for a value adds a comparison before the pipes", () => {
  expect(toggle("failed | limit 5", "service", "web 1", true)).toBe('failed service="web 1" | limit 5');
});

test("asking again takes it back", () => {
  expect(toggle("failed level=error", "level", "error", true)).toBe("failed");
});

test("asking against a value replaces asking for it", () => {
  expect(toggle("level=error", "level", "error", false)).toBe("-level=error");
});

test("an or at the top is put in brackets", () => {
  expect(toggle("a or b", "level", "error", true)).toBe("(a or b) level=error");
});

test("a shape is asked for as a pattern of its fixed parts, and again takes it back", () => {
  const asked = toggleShape("", "GET /orders/* * in * ms (ok)", true);
  expect(asked).toBe("/^GET \\/orders\\/.* .* in .* ms \\(ok\\)/");
  expect(toggleShape("level=info", "user * *", false)).toBe("level=info -/^user .* /");
  expect(toggleShape("", "no customer *\n at Worker", true)).toBe("/^no customer .*\\n at Worker/");
  expect(toggleShape(asked, "GET /orders/* * in * ms (ok)", true)).toBe("");
});

test("what is asked is known", () => {
  expect([
    asks("-level=info x", "level", "info"),
    asks("level=error", "level", "error"),
    asks("", "a", "b"),
  ]).toEqual([-1, 1, 0]);
});

test("words, phrases and patterns of the message are marked, fields and excluded words are not", () => {
  const sources = marks('failed "order 7" /a+b/ level=error -quiet not dull message:deep host:web').map(
    (one) => one.source,
  );
  expect(sources).toEqual(["failed", "order 7", "a+b", "deep"]);
});

test("a table is told from lines", () => {
  expect([aggregates("a | stats count()"), aggregates('"| stats"'), aggregates("a | limit 5")]).toEqual([
    true,
    false,
    false,
  ]);
});

test("a name that is being written is completed where it stands", () => {
  const names = ["key:", "headers.", "headers.trace:"];
  expect(complete("red -he", names)).toEqual(["red -headers.", "red -headers.trace:"]);
  expect(complete("key:", names)).toEqual([]);
  expect(complete("", names)).toEqual([]);
});
