/* Calls to the server. Addresses are relative to the page. */
import type { AgentEntries, Agents, Answers, Call, Counted, Page, Parameters, Problem } from "./types";

export const API = "api/v1";

/** What the server refused, or that it could not be reached (status 0). */
export class CallError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function address(call: string, parameters: Record<string, unknown>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return `${API}/${call}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** Raises CallError; an aborted call raises the signal's AbortError. */
export async function get<Name extends Call>(
  call: Name,
  parameters: Parameters<Name>,
  signal?: AbortSignal,
): Promise<Answers[Name]> {
  return ask(address(call.replace("_", "/"), parameters), { signal });
}

async function ask<Answer>(target: string, how: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(target, { ...how, headers: { accept: "application/json" } });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new CallError({ type: "", title: "", status: 0, detail: String(error) });
  }
  if (response.ok) return (await response.json()) as Answer;
  throw new CallError(await problemOf(response));
}

/** Why a stream is refused; undefined when it is not, or when nobody answers. */
export async function refusal(
  call: string,
  parameters: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  try {
    const response = await fetch(address(call, parameters), { signal });
    if (!response.ok) return await problemOf(response);
    await response.body?.cancel();
  } catch {
    // The stream will be opened again, and says more then.
  }
  return undefined;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) as Problem;
  } catch {
    const { status, statusText } = response;
    return { type: "", title: statusText, status, detail: `HTTP ${status}` };
  }
}

export function search(parameters: Parameters<"search">, signal?: AbortSignal): Promise<Page> {
  return get("search", parameters, signal);
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

/** Counts over time by level; "" is the level nobody gave. */
export async function histogram(
  parameters: Parameters<"histogram">,
  signal?: AbortSignal,
): Promise<Histogram> {
  const answer = await get("histogram", { ...parameters, by: "level" }, signal);
  const [start, spanMs] = [answer.start_ns / 1e6, answer.span_ns / 1e6];
  const length = Math.max(0, ...answer.series.map(({ counts }) => counts.length));
  const buckets = Array.from({ length }, (_, index): Bucket => {
    const counts = answer.series.map(({ value, counts }) => [value ?? "", counts[index] ?? 0]);
    return { at: start + index * spanMs, counts: Object.fromEntries(counts) };
  });
  return { start, spanMs, buckets };
}

/** The fields of the newest matching records, and how many of those have each. */
export async function fields(parameters: Parameters<"fields">, signal?: AbortSignal): Promise<Counted[]> {
  const answer = await get("fields", parameters, signal);
  return answer.fields.map(({ field, count }) => ({ value: field, count }));
}

/** The most frequent values of a field. */
export async function values(parameters: Parameters<"values">, signal?: AbortSignal): Promise<Counted[]> {
  return (await get("values", parameters, signal)).values;
}

const agent = (host: string) => `agents/${encodeURIComponent(host)}`;

export function agents(): Promise<Agents> {
  return ask(address("agents", {}), {});
}

/** What an agent is to follow. */
export function agentEntries(host: string): Promise<AgentEntries> {
  return ask(address(agent(host), {}), {});
}

/** Have it follow something else than it did at a revision; a CallError of status 409 when that is not there now. */
export function saveAgent(host: string, text: string, revision: number): Promise<AgentEntries> {
  return ask(address(agent(host), { revision }), { method: "PUT", body: text });
}

export function removeAgent(host: string, revision: number): Promise<AgentEntries> {
  return ask(address(agent(host), { revision }), { method: "DELETE" });
}
