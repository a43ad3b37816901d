import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Frame, Opening } from "./frames";
import { Stream } from "./stream";
import type { Receiver, Transport } from "./transport";

interface Dialled extends Receiver {
  opening: Opening;
  closed: boolean;
}

/** A transport whose connections the test speaks for. */
function wire(): { transport: Transport; dialled: Dialled[] } {
  const dialled: Dialled[] = [];
  const transport: Transport = (opening, receiver) => {
    const connection = { ...receiver, opening, closed: false };
    dialled.push(connection);
    return () => {
      connection.closed = true;
    };
  };
  return { transport, dialled };
}

const rows = (next: string): Frame => ({ event: "rows", records: [], next });
const first = wire();
const other = wire();
let told: string[];
let stream: Stream;
let page: EventTarget;

beforeEach(() => {
  vi.useFakeTimers();
  page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("document", new EventTarget());
  told = [];
  first.dialled.length = other.dialled.length = 0;
  const listener = {
    frame: (frame: Frame, from: string) => told.push(`${frame.event} ${from}`),
    connection: (state: string, why?: { why: string }) => told.push(why ? `${state}: ${why.why}` : state),
  };
  stream = new Stream({ q: "x" }, { last: 5 }, listener, first.transport, other.transport);
});

afterEach(() => {
  stream.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a stream that is cut goes on behind the last frame that came", () => {
  first.dialled[0]?.frame(rows("a-7"), "a-7");
  first.dialled[0]?.failed();
  expect(told).toEqual(["connecting", "open", "rows ", "lost"]);
  vi.advanceTimersByTime(500);
  expect(first.dialled.map(({ opening }) => opening)).toEqual([
    { q: "x", last: 5 },
    { q: "x", after: "a-7" },
  ]);
});

test("a connection that says nothing for 25 seconds is given up, one that speaks is not", () => {
  for (let second = 0; second < 60; second += 10) {
    first.dialled[0]?.frame(rows("a-7"), "a-7");
    vi.advanceTimersByTime(10_000);
  }
  expect(first.dialled.length).toBe(1);
  vi.advanceTimersByTime(20_000);
  expect(first.dialled.map(({ closed }) => closed)).toEqual([true, false]);
});

test("when the network is back, nobody waits", () => {
  first.dialled[0]?.frame(rows("a-7"), "a-7");
  first.dialled[0]?.failed();
  page.dispatchEvent(new Event("online"));
  expect(first.dialled.length).toBe(2);
});

test("an end says when to come back, and nothing is opened before", () => {
  first.dialled[0]?.frame(rows("a-7"), "a-7");
  first.dialled[0]?.frame({ event: "end", why: "too much", checkpoint: "a-9", retry_s: 40 }, "a-9");
  expect(told.at(-1)).toBe("lost: too much");
  vi.advanceTimersByTime(39_000);
  expect(first.dialled.length).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(first.dialled[1]?.opening).toEqual({ q: "x", after: "a-9" });
});

test("what is done is not opened again", () => {
  first.dialled[0]?.frame({ event: "end", why: "over", done: true }, "");
  page.dispatchEvent(new Event("online"));
  vi.advanceTimersByTime(100_000);
  expect([first.dialled.length, told.at(-1)]).toEqual([1, "off"]);
});

test("where one transport is refused the other says why", () => {
  first.dialled[0]?.failed();
  other.dialled[0]?.failed({ type: "", title: "", status: 429, detail: "five tails are open" });
  expect(told.at(-1)).toBe("lost: five tails are open");
});

test("of a connection that is held back and its replacement, what speaks first stays, and the first is tried again", () => {
  first.dialled[0]?.open();
  vi.advanceTimersByTime(4000);
  other.dialled[0]?.frame(rows("a-3"), "a-3");
  expect(first.dialled.map(({ closed }) => closed)).toEqual([true]);
  for (let second = 0; second < 60; second += 10) {
    vi.advanceTimersByTime(10_000);
    if (!other.dialled[0]?.closed) other.dialled[0]?.frame(rows("a-4"), "a-4");
  }
  expect(other.dialled.map(({ closed }) => closed)).toEqual([true]);
  expect(first.dialled[1]?.opening).toEqual({ q: "x", after: "a-4" });
});
