import { expect, test } from "vitest";
import { crc, Tally } from "./tally";
import type { LogRecord, Ping } from "./types";

const record = (at: number, message: string): LogRecord => ({
  time: "",
  observed: "",
  message,
  cursor: `7f3a-${at}`,
});
const M64 = 2n ** 64n;

/** The formula, as it is written down. */
function digest(records: LogRecord[]): bigint {
  return records.reduce((sum, { cursor, message }) => {
    const [n, c] = [BigInt(cursor.slice(5)), BigInt(crc(message))];
    const mixed = (n * 0x9e3779b97f4a7c15n + c * 0xc2b2ae3d27d4eb4fn) % M64;
    return (sum + (mixed ^ (mixed >> 32n))) % M64;
  }, 0n);
}

const hex = (value: bigint) => value.toString(16).padStart(16, "0");
const records = [0, 1, 7, 65_535, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 9, 2 ** 45 + 12_345].map((at) =>
  record(at, `line ${at} 支付失败 ☃`.repeat((at % 7) + 1)),
);

function ping(sent: LogRecord[], from = "7f3a-0"): Ping {
  return {
    checkpoint: "7f3a-99",
    from,
    sent: sent.length,
    digest: hex(digest(sent)),
    in: 0,
    matched: 0,
    lag_ms: 0,
    levels: {},
  };
}

test("the checksum is CRC-32 of the text in UTF-8", () => {
  expect([crc("123456789"), crc(""), crc("支付失败")]).toEqual([0xcbf43926, 0, 0x3a85b6fb]);
});

test("a digest is what the formula says, whatever the order and however large the numbers are", () => {
  const [one, other] = [new Tally(), new Tally()];
  one.add(records, "7f3a-99");
  other.add(records.slice(4), "7f3a-99");
  other.add(records.slice(0, 4), "7f3a-99");
  expect(one.digest).toBe(hex(digest(records)));
  expect(other.digest).toBe(one.digest);
  expect(other.count).toBe(records.length);
});

test("what a gap leaves out is counted in, by what it says", () => {
  const tally = new Tally();
  tally.begin("7f3a-0");
  tally.add(records.slice(0, 3), "7f3a-9");
  const left = hex(digest(records.slice(3)));
  tally.skip({ from: "7f3a-9", to: "7f3a-99", count: 5, why: "slow", digest: left }, "7f3a-99");
  expect([tally.count, tally.skipped, tally.digest]).toEqual([3, 5, hex(digest(records))]);
});

test("behind a gap that nothing is known about the proof begins anew", () => {
  const tally = new Tally();
  tally.add(records, "7f3a-9");
  tally.skip({ from: "7f3a-9", to: "7f3a-99", count: 90, why: "expired" }, "7f3a-99");
  expect([tally.from, tally.count, tally.digest]).toEqual(["7f3a-99", 0, "0".repeat(16)]);
});

test("a ping agrees when what was sent since the one before came", () => {
  const tally = new Tally();
  expect(tally.agrees(ping([]))).toBe(null);
  tally.add(records.slice(0, 4), "7f3a-9");
  expect(tally.agrees(ping(records.slice(0, 4)))).toBe(true);
  tally.add(records.slice(4, 6), "7f3a-9");
  expect(tally.agrees(ping(records.slice(0, 7)))).toBe(false);
  expect(tally.agrees(ping([], "7f3a-9"))).toBe(null);
});

test("a line of the same number and another text is found out", () => {
  const tally = new Tally();
  tally.agrees(ping([]));
  tally.add([record(5, "paid")], "7f3a-9");
  expect(tally.agrees(ping([record(5, "free")]))).toBe(false);
});
