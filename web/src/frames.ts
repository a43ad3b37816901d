/* The frames of a tail, as every transport brings them: JSON objects that name their event. */
import { get } from "./client";
import type { Delta, End, Gap, LogRecord, Parameters, Ping, Progress } from "./types";

/** What is watched: what a stream answers depends on nothing else. */
export interface Question {
  q: string;
  /** Lines of the same stream around each match. */
  context?: number;
  /** Count what matched. */
  counts?: true;
}

/** Where a stream begins: behind a checkpoint, with so many of the newest records, or (a replay) at a time. */
export type Start =
  | Record<string, never>
  | { after: string }
  | { last: number }
  | { from: string; to?: string };

/** What a connection is opened with: the question, and where it begins. */
export type Opening = Record<string, string | number | boolean | undefined>;

export type Rows = { event: "rows"; records: LogRecord[]; next: string; counts?: Delta | null };
export type Frame =
  | Rows
  | ({ event: "gap" } & Gap)
  | ({ event: "ping" } & Ping)
  | ({ event: "progress" } & Progress)
  | ({ event: "end" } & End)
  /** Nothing but the position: where an answer to a poll begins and ends. */
  | { event: "at"; next: string };

/** The position behind a frame. */
export function behind(frame: Frame): string {
  if (frame.event === "rows" || frame.event === "at" || frame.event === "progress") return frame.next;
  return frame.event === "gap" ? (frame.next ?? frame.to) : (frame.checkpoint ?? "");
}

/** One answer of the long-poll: at once what there is, else what comes within so many seconds; and where it began. */
export async function poll(opening: Opening, wait: number, signal: AbortSignal): Promise<Frame[]> {
  const { from, frames, next } = await get(
    "tail_poll",
    { ...opening, wait } as Parameters<"tail_poll">,
    signal,
  );
  return [{ event: "at", next: from }, ...(frames as unknown as Frame[]), { event: "at", next }];
}
