/* Times are RFC 3339 text with up to nine digits of a second, as the server sends them; milliseconds are numbers. */

const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");

/** The day of a time, `2026-11-20`. */
export function day(at: number, utc: boolean): string {
  if (utc) return new Date(at).toISOString().slice(0, 10);
  const date = new Date(at);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** The time of day with milliseconds, `08:00:00.123`. */
export function clock(at: number, utc: boolean): string {
  if (utc) return new Date(at).toISOString().slice(11, 23);
  const date = new Date(at);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** Date and time with every digit that is known, and the zone. */
export function exact(time: string, utc: boolean): string {
  const at = Date.parse(time);
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "000";
  const minutes = utc ? 0 : -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  const zone = utc ? "Z" : `${sign}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
  return `${day(at, utc)} ${clock(at, utc).slice(0, 8)}.${fraction}${zone}`;
}

/** What a `datetime-local` input holds, to the second. */
export function toInput(at: number, utc: boolean): string {
  return `${day(at, utc)}T${clock(at, utc).slice(0, 8)}`;
}

/** Milliseconds of what a `datetime-local` input holds; NaN when it is empty. */
export function fromInput(text: string, utc: boolean): number {
  return Date.parse(utc ? `${text}Z` : text);
}

const UNITS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Milliseconds of `15m`; NaN when it is none. */
export function span(text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text);
  return match ? Number(match[1]) * (UNITS[match[2] as string] as number) : Number.NaN;
}

/** A length of time in one short unit: `12 ms`, `3.4 s`, `2 min`, `5 h`, `3 d`. */
export function short(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60e3) return `${(ms / 1000).toFixed(ms < 10e3 ? 1 : 0)} s`;
  if (ms < 3600e3) return `${Math.round(ms / 60e3)} min`;
  if (ms < 86400e3) return `${Math.round(ms / 3600e3)} h`;
  return `${Math.round(ms / 86400e3)} d`;
}

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3,
  1800e3, 3600e3, 7200e3, 10800e3, 21600e3, 43200e3, 86400e3, 172800e3, 432000e3, 864000e3, 2592000e3,
];

/** Round moments between two, about so many at most, as the clock of the zone counts. */
export function ticks(from: number, to: number, count: number, utc: boolean): number[] {
  const wanted = (to - from) / Math.max(1, count);
  const step = STEPS.find((known) => known >= wanted) ?? Math.ceil(wanted / 31536000e3) * 31536000e3;
  const zone = utc ? 0 : new Date(from).getTimezoneOffset() * 60e3;
  const found: number[] = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) found.push(at);
  return found;
}

/** The next round number, whose half is whole as well (but for 1). */
export function round(count: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, count)));
  return (
    ((power > 1 ? [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10] : [1, 2, 4, 6, 8, 10]).find(
      (part) => part * power >= count,
    ) ?? 10) * power
  );
}
