/* Calls to the server. Addresses are relative to the page. */
import type { LogRecord, Page, Problem } from "./api";

export const API = "api/v1";
export type Parameters = Record<string, string | number | undefined>;

/** What the server refused, or that it could not be reached (status 0). */
export class CallError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function address(call: string, parameters: Parameters): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return `${API}/${call}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** Raises CallError; an aborted call raises the signal's AbortError. */
export async function get<Answer>(
  call: string,
  parameters: Parameters,
  signal?: AbortSignal,
): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(address(call, parameters), { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError({ type: "", title: "", status: 0, detail: String(error) });
  }
  if (response.ok) return (await response.json()) as Answer;
  throw new CallError(await problemOf(response));
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) as Problem;
  } catch {
    return {
      type: "",
      title: response.statusText,
      status: response.status,
      detail: `HTTP ${response.status}`,
    };
  }
}

export function search(parameters: Parameters, signal?: AbortSignal): Promise<Page> {
  return get<Page>("search", parameters, signal);
}

export interface Context {
  records: LogRecord[];
  index: number;
}

export interface Bucket {
  at: number;
  counts: Record<string, number>;
}

export interface Histogram {
  start: number;
  spanMs: number;
  buckets: Bucket[];
}

interface HistogramAnswer {
  start_ns: number;
  span_ns: number;
  series: { value: string | null; counts: number[] }[];
}

/** Counts over time by level; "" is the level nobody gave. */
export async function histogram(parameters: Parameters, signal?: AbortSignal): Promise<Histogram> {
  const answer = await get<HistogramAnswer>("histogram", { ...parameters, by: "level" }, signal);
  const [start, spanMs] = [answer.start_ns / 1e6, answer.span_ns / 1e6];
  const length = Math.max(0, ...answer.series.map(({ counts }) => counts.length));
  const buckets = Array.from({ length }, (_, index): Bucket => {
    const counts = answer.series.map(({ value, counts }) => [value ?? "", counts[index] ?? 0]);
    return { at: start + index * spanMs, counts: Object.fromEntries(counts) };
  });
  return { start, spanMs, buckets };
}

export interface Counted {
  value: string;
  count: number;
}

/** The fields of the newest matching records, and how many of those have each. */
export async function fields(parameters: Parameters, signal?: AbortSignal): Promise<Counted[]> {
  const answer = await get<{ fields: { field: string; count: number }[] }>("fields", parameters, signal);
  return answer.fields.map(({ field, count }) => ({ value: field, count }));
}

/** The most frequent values of a field. */
export async function values(
  field: string,
  parameters: Parameters,
  signal?: AbortSignal,
): Promise<Counted[]> {
  return (await get<{ values: Counted[] }>("values", { ...parameters, field }, signal)).values;
}
