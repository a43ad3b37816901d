/* What the page shows, as text in its address: a link reproduces the view. */
import type { Order } from "./line";
import { fromParameters, TOPIC_COLUMNS, type Topic, toParameters } from "./topic";

export type Range =
  | { kind: "last"; span: string }
  | { kind: "all" }
  | { kind: "between"; from: number; to: number };

export interface View {
  query: string;
  /** Messages of Kafka are shown instead of logs. */
  topic: Topic | null;
  range: Range;
  live: boolean;
  /** A replay begins at this moment (milliseconds); 0: none. Its end is that of the range. */
  replay: number;
  /** In which order a live stream stands. */
  order: Order;
  /** Lines of the same stream shown around each match while live. */
  context: number;
  /** The shapes of messages instead of lines, while live. */
  patterns: boolean;
  wrap: boolean;
  utc: boolean;
  columns: string[];
  /** Text marked in the lines without filtering them. */
  find: string;
  /** The line the link points at, and its time. */
  cursor: string;
  at: string;
  /** The agents instead of lines, and which of them is looked at. */
  agents: boolean;
  agent: string;
}

/** Lines around a match that can be chosen. */
export const CONTEXTS = [0, 2, 5, 10];

export const START: View = {
  query: "",
  topic: null,
  range: { kind: "last", span: "1h" },
  live: true,
  replay: 0,
  order: "arrival",
  context: 0,
  patterns: false,
  wrap: false,
  utc: false,
  columns: ["service"],
  find: "",
  cursor: "",
  at: "",
  agents: false,
  agent: "",
};

export function toAddress(view: View): string {
  const parameters = new URLSearchParams();
  if (view.query) parameters.set("q", view.query);
  const { range, topic } = view;
  if (topic) toParameters(topic, parameters);
  else if (range.kind === "between") {
    parameters.set("from", new Date(range.from).toISOString());
    parameters.set("to", new Date(range.to).toISOString());
  } else parameters.set("range", range.kind === "all" ? "all" : range.span);
  if (!topic) parameters.set("live", view.live ? "1" : "0");
  if (view.replay) parameters.set("replay", new Date(view.replay).toISOString());
  if (view.order !== START.order) parameters.set("order", view.order);
  if (view.context) parameters.set("context", String(view.context));
  if (view.patterns) parameters.set("patterns", "1");
  if (view.wrap) parameters.set("wrap", "1");
  if (view.utc) parameters.set("utc", "1");
  if (view.columns.join() !== columnsOf(topic).join()) parameters.set("columns", view.columns.join(","));
  if (view.find) parameters.set("find", view.find);
  if (view.cursor) {
    parameters.set("cursor", view.cursor);
    parameters.set("at", view.at);
  }
  if (view.agents) parameters.set("agents", "1");
  if (view.agent) parameters.set("agent", view.agent);
  return `?${parameters}`;
}

export function fromAddress(search: string): View {
  const parameters = new URLSearchParams(search);
  const columns = parameters.get("columns");
  const topic = fromParameters(parameters);
  return {
    topic,
    query: parameters.get("q") ?? "",
    range: rangeOf(parameters),
    live: topic ? topic.until === "" : !parameters.has("cursor") && (parameters.get("live") ?? "1") === "1",
    replay: Date.parse(parameters.get("replay") ?? "") || 0,
    order: parameters.get("order") === "event" ? "event" : "arrival",
    context: CONTEXTS.find((lines) => String(lines) === parameters.get("context")) ?? 0,
    patterns: parameters.get("patterns") === "1",
    wrap: parameters.get("wrap") === "1",
    utc: parameters.get("utc") === "1",
    columns: columns === null ? [...columnsOf(topic)] : columns.split(",").filter(Boolean),
    find: parameters.get("find") ?? "",
    cursor: parameters.get("cursor") ?? "",
    at: parameters.get("at") ?? "",
    agents: parameters.get("agents") === "1",
    agent: parameters.get("agent") ?? "",
  };
}

/** The columns that stand there unless a person has others. */
export function columnsOf(topic: Topic | null): string[] {
  return topic ? TOPIC_COLUMNS : START.columns;
}

function rangeOf(parameters: URLSearchParams): Range {
  const from = Date.parse(parameters.get("from") ?? "");
  const to = Date.parse(parameters.get("to") ?? "");
  if (from < to) return { kind: "between", from, to };
  const named = parameters.get("range") ?? "";
  if (named === "all") return { kind: "all" };
  return /^\d+[smhd]$/.test(named) ? { kind: "last", span: named } : START.range;
}
