import { expect, test } from "vitest";
import { pieces } from "./text";

const plain = (message: string, multiline = false) => pieces(message, multiline, []);

test("markup stays text", () => {
  expect(plain("<img src=x onerror=alert(1)>")).toEqual([{ text: "<img src=x onerror=alert(1)>", look: "" }]);
});

test("terminal colours become classes and end with a reset", () => {
  expect(plain("a\x1b[1;31mb\x1b[0mc")).toEqual([
    { text: "a", look: "" },
    { text: "b", look: "bold sgr-31" },
    { text: "c", look: "" },
  ]);
});

test("colours of 256 and of 16 million are kept", () => {
  expect(plain("\x1b[38;5;196mx\x1b[48;2;1;2;3my")).toEqual([
    { text: "x", look: "", color: "rgb(255 0 0)" },
    { text: "y", look: "", color: "rgb(255 0 0)", background: "rgb(1 2 3)" },
  ]);
});

test("a new colour replaces the old one", () => {
  expect(plain("\x1b[31m\x1b[92mx")[0]?.look).toBe("sgr-92");
});

test("other escape sequences and control characters are shown", () => {
  expect(
    plain("\x1b[2J\x07")
      .map((piece) => piece.text)
      .join(""),
  ).toBe("\u241b[2J\u2407");
});

test("characters that reorder text are shown", () => {
  expect(plain("a\u202eb").map((piece) => piece.text)).toEqual(["a", "\u27e8U+202E\u27e9", "b"]);
});

test("a line end is a sign on one line and a line end on several", () => {
  expect(plain("a\nb")[1]).toEqual({ text: "\u21b5", look: "control" });
  expect(plain("a\nb", true)[1]).toEqual({ text: "\n", look: "" });
});

test("a mark crosses the borders of colours", () => {
  const marked = pieces("fo\x1b[31mo bar", false, [[/foo/gi, "hit"]]);
  expect(marked.map((piece) => [piece.text, piece.look])).toEqual([
    ["fo", "hit"],
    ["o", "sgr-31 hit"],
    [" bar", "sgr-31"],
  ]);
});

test("a pattern that matches nothing marks nothing", () => {
  expect(pieces("abc", false, [[/x*/g, "hit"]])).toEqual([{ text: "abc", look: "" }]);
});
