/* The words of the API, short. What they look like stands in api.ts, which is made from the server's own description. */
import type { components, operations } from "./api";

type Schemas = components["schemas"];

export type LogRecord = Schemas["Record"] & { context?: boolean };
export type Problem = Schemas["Problem"];
export type Page = Schemas["Found"];
export type SearchStats = Schemas["Stats"];
export type Context = Schemas["Around"];
export type Counted = Schemas["Value"];
export type Ping = Schemas["PingFrame"];
export type End = Schemas["EndFrame"];
export type Delta = Schemas["CountsOfFrame"];
export type Row = Schemas["Counted"]["records"][number];
/** A hole in what is shown; a jump to now makes one as well. */
export type Gap = Omit<Schemas["GapFrame"], "why"> & { why: Schemas["GapFrame"]["why"] | "jumped" };

export type Agents = Schemas["Agents"];
export type KnownAgent = Schemas["KnownAgent"];
export type AgentEntries = Schemas["AgentEntries"];
/** How far a viewer of a topic is. */
export interface Progress {
  read: number;
  bytes: number;
  matched: number;
  took_ms: number;
  next: string;
  total?: number | null;
  problem?: string;
}
export type TopicFacts = Schemas["TopicFacts"];

export interface Answers {
  search: Page;
  histogram: Schemas["Histogram"];
  fields: Schemas["Fields"];
  values: Schemas["Values"];
  context: Context;
  tail_poll: Schemas["Frames"];
  verify: Schemas["Verified"];
  kafka_topics: Schemas["Topics"];
}
export type Call = keyof Answers;
export type Parameters<Name extends Call> = NonNullable<operations[Name]["parameters"]["query"]>;
