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
