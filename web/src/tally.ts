/*
The proof that a tail is complete: count and digest of the records that came, to compare with what the server sent
(each ping says so) and with what a search finds over the same positions.

Digest of a set of records: for each, n = offset of its cursor, c = CRC-32 of its message in UTF-8 (0 without one);
h = (n * 0x9E3779B97F4A7C15 + c * 0xC2B2AE3D27D4EB4F) mod 2^64, h ^= h >> 32; the sum of all h mod 2^64. 64 bits are
two halves of 32 here: whole numbers of any size cost ten times as much, and this runs for every line.
*/
import { offset } from "./position";
import type { Gap, LogRecord, Ping } from "./types";

const TWO32 = 2 ** 32;
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const encoder = new TextEncoder();
let bytes = new Uint8Array(4096);

/** CRC-32 (ISO 3309) of a text in UTF-8. */
export function crc(text: string): number {
  if (bytes.length < text.length * 3) bytes = new Uint8Array(text.length * 3);
  const { written } = encoder.encodeInto(text, bytes);
  let value = 0xffffffff;
  for (let at = 0; at < written; at++)
    value = (CRC[(value ^ (bytes[at] as number)) & 255] as number) ^ (value >>> 8);
  return ~value >>> 0;
}

/** A sum of digests, mod 2^64. */
class Sum {
  high = 0;
  low = 0;

  add(high: number, low: number): void {
    const sum = this.low + low;
    this.low = sum % TWO32;
    this.high = (this.high + high + (sum >= TWO32 ? 1 : 0)) % TWO32;
  }

  get value(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }
}

/** The upper half of the product of two numbers of 32 bits. */
function upper(one: number, other: number): number {
  const [a, b, c, d] = [one >>> 16, one & 0xffff, other >>> 16, other & 0xffff];
  const middle = a * d + Math.floor((b * d) / 65536);
  return (a * c + Math.floor((middle + b * c) / 65536)) >>> 0;
}

/** What the page received on one tail, from one position to another, and what gaps say was left out. */
export class Tally {
  from = "";
  to = "";
  count = 0;
  /** Of the records that gaps leave out, with what they say about them. */
  skipped = 0;
  #rows = new Sum();
  #gaps = new Sum();
  /** What a ping said, and what had come then. */
  #said: { ping: Ping; count: number; digest: bigint } | null = null;

  /** Of the records that came and of those that were declared as skipped. */
  get digest(): string {
    return BigInt.asUintN(64, this.#rows.value + this.#gaps.value)
      .toString(16)
      .padStart(16, "0");
  }

  /** Begin anew: what is behind a hole cannot be proved together with what is before it. */
  begin(from: string): void {
    this.from = this.to = from;
    this.count = this.skipped = 0;
    this.#rows = new Sum();
    this.#gaps = new Sum();
    this.#said = null;
  }

  /** Records that came; those that only stand around a match are none of it. */
  add(records: readonly LogRecord[], to: string): void {
    for (const { cursor, message, context } of records) {
      // Pipes may have left the message out.
      if (!context) this.#add(offset(cursor), message ?? "");
    }
    this.to = to;
  }

  /** Count in what a gap leaves out; with nothing known about it, begin behind it. */
  skip(gap: Gap, to: string): void {
    if (!gap.digest) {
      this.begin(to);
      return;
    }
    this.skipped += gap.count ?? 0;
    this.#gaps.add(Number.parseInt(gap.digest.slice(0, 8), 16), Number.parseInt(gap.digest.slice(8), 16));
    this.to = to;
  }

  /**
   * Whether as much has come since the ping before as the server says it sent; null when there is none to compare
   * with: a stream that was opened again counts anew.
   */
  agrees(ping: Ping): boolean | null {
    this.to = ping.checkpoint;
    const last = this.#said?.ping.from === ping.from ? this.#said : null;
    this.#said = { ping, count: this.count, digest: this.#rows.value };
    if (!last) return null;
    const sent = BigInt.asUintN(64, BigInt(`0x${ping.digest}`) - BigInt(`0x${last.ping.digest}`));
    const came = BigInt.asUintN(64, this.#rows.value - last.digest);
    return this.count - last.count === ping.sent - last.ping.sent && came === sent;
  }

  #add(n: number, message: string): void {
    const c = message === "" ? 0 : crc(message);
    const nLow = n >>> 0;
    const nHigh = Math.floor(n / TWO32);
    const low = (Math.imul(nLow, 0x7f4a7c15) >>> 0) + (Math.imul(c, 0x27d4eb4f) >>> 0);
    const high =
      upper(nLow, 0x7f4a7c15) +
      (Math.imul(nLow, 0x9e3779b9) >>> 0) +
      (Math.imul(nHigh, 0x7f4a7c15) >>> 0) +
      upper(c, 0x27d4eb4f) +
      (Math.imul(c, 0xc2b2ae3d) >>> 0) +
      (low >= TWO32 ? 1 : 0);
    this.#rows.add(high % TWO32, ((low >>> 0) ^ (high >>> 0)) >>> 0);
    this.count++;
  }
}
