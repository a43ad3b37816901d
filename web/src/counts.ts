/*
What a tail has brought, counted by the server as it came: levels, the values of fields, and the shapes of messages. Each
frame carries what it adds, so showing it asks nobody. Beyond VALUES_MAX values of one kind the rare half is counted
together, as the server does within a frame.
*/
import type { Counted, Delta } from "./types";

export interface Pattern {
  text: string;
  count: number;
  perSecond: number;
  /** First seen in what arrived live: what the tail began with did not have it. */
  isNew: boolean;
}

const VALUES_MAX = 2000;
const REST = "…";
const SMOOTH = 0.3;

export class Counts {
  #fields = new Map<string, Map<string, number>>();
  #patterns = new Map<string, Pattern & { before: number }>();

  /** `live`: all of it arrived while somebody watches. */
  add(delta: Delta, live: boolean): void {
    this.#count("level", delta.levels);
    for (const [field, values] of Object.entries(delta.facets)) this.#count(field, values);
    for (const [text, count] of Object.entries(delta.patterns)) {
      const isNew = live && text !== REST;
      const known = this.#patterns.get(text) ?? { text, count: 0, perSecond: 0, isNew, before: 0 };
      known.count += count;
      if (!live) known.before += count;
      this.#patterns.set(text, known);
    }
    if (this.#patterns.size > VALUES_MAX) this.#foldPatterns();
  }

  /** Fields that are counted. */
  get fields(): string[] {
    return [...this.#fields.keys()];
  }

  /** The most frequent values of a field, the rest behind them. */
  top(field: string, most: number): Counted[] {
    const values = [...(this.#fields.get(field) ?? [])].map(([value, count]) => ({ value, count }));
    return values.sort(byCount).slice(0, most);
  }

  /** The most frequent shapes; what is new stands before what was there. */
  patterns(most: number): Pattern[] {
    const all = [...this.#patterns.values()].map((pattern) => ({ ...pattern }));
    return all
      .sort((one, other) => Number(other.isNew) - Number(one.isNew) || byCount(one, other))
      .slice(0, most);
  }

  /** Some time has passed: how fast has each shape come? */
  tick(seconds: number): void {
    for (const pattern of this.#patterns.values()) {
      const now = (pattern.count - pattern.before) / seconds;
      pattern.before = pattern.count;
      pattern.perSecond += SMOOTH * (now - pattern.perSecond);
      if (pattern.perSecond < 0.05) pattern.perSecond = 0;
    }
  }

  #count(field: string, delta: Record<string, number>): void {
    const values = this.#fields.get(field) ?? new Map<string, number>();
    for (const [value, count] of Object.entries(delta)) values.set(value, (values.get(value) ?? 0) + count);
    if (values.size > VALUES_MAX) fold(values);
    if (values.size > 0) this.#fields.set(field, values);
  }

  #foldPatterns(): void {
    const counts = new Map([...this.#patterns].map(([text, { count }]) => [text, count]));
    fold(counts);
    for (const text of this.#patterns.keys()) if (!counts.has(text)) this.#patterns.delete(text);
    const rest = { text: REST, perSecond: 0, isNew: false, before: 0, ...this.#patterns.get(REST) };
    this.#patterns.set(REST, { ...rest, count: counts.get(REST) ?? 0 });
  }
}

const byCount = (one: { count: number }, other: { count: number }) => other.count - one.count;

/** Count the rare half together. */
function fold(values: Map<string, number>): void {
  const rare = [...values].filter(([value]) => value !== REST).sort((one, other) => one[1] - other[1]);
  let rest = values.get(REST) ?? 0;
  for (const [value, count] of rare.slice(0, VALUES_MAX / 2)) {
    values.delete(value);
    rest += count;
  }
  values.set(REST, rest);
}
