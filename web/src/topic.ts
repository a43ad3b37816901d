/* Which messages of a Kafka topic are looked at: as text in the page's address, and as parameters of the call. */
import type { Opening } from "./frames";

export const DECODERS = ["auto", "json", "url", "text", "hex"];
export const LIMITS = [100, 1000, 10_000, 0];

export interface Topic {
  /** "": none yet, all are listed. */
  name: string;
  /** `latest`, `earliest`, an offset (-N: N before the end of each partition), or a time, as RFC 3339. */
  begin: string;
  /** "": goes on live; `now`, or a time. */
  until: string;
  /** `0,3`; "": all. */
  partitions: string;
  decode: string;
  /** 0: none. */
  limit: number;
}

export const TOPIC: Topic = {
  name: "",
  begin: "-100",
  until: "",
  partitions: "",
  decode: "auto",
  limit: 10_000,
};

export const TOPIC_COLUMNS = ["partition", "offset", "key"];

export const isOffset = (begin: string) => /^-?\d+$/.test(begin);

/** What a moment is called among the choices: `latest`, `offset`, `time`. */
export function kind(where: string): string {
  if (isOffset(where)) return "offset";
  return Number.isNaN(Date.parse(where)) ? where : "time";
}

export function toParameters({ begin, until, ...topic }: Topic, parameters: URLSearchParams): void {
  parameters.set("kafka", topic.name);
  if (topic.name === "") return;
  parameters.set("begin", begin);
  if (until) parameters.set("until", until);
  if (topic.partitions) parameters.set("partitions", topic.partitions);
  if (topic.decode !== TOPIC.decode) parameters.set("decode", topic.decode);
  if (topic.limit !== TOPIC.limit) parameters.set("limit", String(topic.limit));
}

export function fromParameters(parameters: URLSearchParams): Topic | null {
  const name = parameters.get("kafka");
  if (name === null) return null;
  const begin = parameters.get("begin") ?? "";
  const until = parameters.get("until") ?? "";
  const limit = Number(parameters.get("limit") ?? TOPIC.limit);
  return {
    name,
    begin:
      ["latest", "earliest", "offset", "time"].includes(kind(begin)) && begin !== "offset"
        ? begin
        : TOPIC.begin,
    until: until === "now" || kind(until) === "time" ? until : "",
    partitions: parameters.get("partitions") ?? "",
    decode: DECODERS.find((known) => known === parameters.get("decode")) ?? TOPIC.decode,
    limit: LIMITS.find((known) => known === limit) ?? TOPIC.limit,
  };
}

/** What the call is asked for. */
export function asked({ name, begin, until, partitions, decode }: Topic): Opening {
  const from = isOffset(begin) ? { offset: begin } : { from: begin };
  return { topic: name, ...from, to: until, partitions, decode };
}
