/*
What the page knows and does: the view (kept in the address), the lines it holds, the search or the live stream that
feeds them, and what goes with them (histogram, figures).

Rules
  - Lines stand oldest first; a search fills the end and pages towards the beginning; what arrives live comes from the
    feed (feed.svelte.ts).
  - A run replaces everything: answers to an earlier run are cancelled, and ignored if they come all the same.
*/
import { untrack } from "svelte";
import { CallError, get, type Histogram, histogram, search } from "./client";
import { Feed } from "./feed.svelte";
import { behind, type Frame, poll } from "./frames";
import { line, type Row } from "./line";
import { before, type Places, places, position, reached } from "./position";
import { aggregates, split } from "./query";
import { Rows } from "./rows";
import { span } from "./time";
import type { Topic } from "./topic";
import type { Answers, LogRecord, Problem, SearchStats, Row as TableRow } from "./types";
import { columnsOf, fromAddress, type Range, START, toAddress, type View } from "./view";

const ROWS_MAX = 65_536;
const PAGE_ROWS = 500;
const TABLE_ROWS = 1000;
const HISTORY_MAX = 50;
const FILL_S = 0.2;
const BUCKETS = 120;
const FIGURES_MS = 250;
/** Ticks of the figures after which counts are shown again: more often they could not be read. */
const COUNTS_TICKS = 4;
const HISTOGRAM_MS = 15_000;
const HISTORY = "tailrace.history";

export class Session {
  view = $state<View>(fromAddress(location.search));
  /** The text in the query box, which is not yet run. */
  draft = $state("");
  problem = $state.raw<Problem | null>(null);
  busy = $state<"" | "search" | "older" | "newer">("");
  figures = $state.raw({ held: 0, perSecond: 0, latencyMs: -1 });
  stats = $state.raw<SearchStats | null>(null);
  complete = $state(true);
  histogram = $state.raw<Histogram | null>(null);
  table = $state.raw<TableRow[] | null>(null);
  /** The topics of the brokers, when there are any. */
  kafka = $state.raw<Answers["kafka_topics"] | null>(null);
  history = $state.raw<string[]>(JSON.parse(localStorage.getItem(HISTORY) ?? "[]"));
  /** Counts runs; what depends on the question watches it. */
  run = $state(0);
  /** When the question was asked: relative ranges are relative to it. */
  asked = $state(Date.now());

  readonly rows = new Rows<Row>(ROWS_MAX);
  readonly feed = new Feed(this);
  /** Set by the list: called when rows came or went. */
  draw: () => void = () => {};
  /** Set by the list: bring a line into view. */
  reveal: (id: number) => void = () => {};

  #abort = new AbortController();
  #older = $state.raw<string | null>();
  #newer: string | null = null;
  #histogramChanged = false;
  #histogramAt = 0;
  #ticks = 0;

  constructor() {
    this.draft = this.view.query;
    setInterval(() => this.#tick(), FIGURES_MS);
    addEventListener("popstate", () => {
      this.view = fromAddress(location.search);
      this.draft = this.view.query;
      this.start();
    });
  }

  /** Whether older pages may exist. */
  get hasOlder(): boolean {
    return this.#older !== null;
  }

  /** Change the view and ask again. */
  ask(change: Partial<View>): void {
    Object.assign(this.view, { cursor: "", at: "", agents: false, agent: "" }, change);
    this.draft = this.view.query;
    this.#remember(this.view.query);
    history.pushState(null, "", toAddress(this.view));
    this.start();
  }

  /** Go to a topic of Kafka, to the list of them (without a name), or (null) back to the logs. */
  enter(topic: Topic | null, query = ""): void {
    const columns = [...columnsOf(topic)];
    // Partitions come one after another; a person reads them as one.
    const order = topic ? "event" : START.order;
    this.ask({ topic, query, columns, order, range: START.range, live: true, replay: 0, patterns: false });
  }

  /** Ask the brokers which topics there are. */
  async loadTopics(): Promise<void> {
    try {
      this.kafka = await get("kafka_topics", {} as never);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      // Brokers that do not answer are there all the same.
      if (error.problem.status >= 500) this.kafka ??= { brokers: 1, topics: [] };
      if (this.view.topic) this.problem = error.problem;
    }
  }

  /** Change what needs no new question: wrapping, columns, the zone. */
  show(change: Partial<View>): void {
    Object.assign(this.view, change);
    history.replaceState(null, "", toAddress(this.view));
  }

  /** `from` and `to` of the range, for calls. */
  bounds(): { from?: string; to?: string } {
    const { range } = this.view;
    if (range.kind === "between")
      return { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
    return range.kind === "all" ? {} : { from: new Date(this.asked - span(range.span)).toISOString() };
  }

  question(): { q: string; from?: string; to?: string } {
    return { q: this.view.query, ...this.bounds() };
  }

  start(): void {
    untrack(() => this.#start());
  }

  #start(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { view } = this;
    if (view.topic) view.live = view.topic.until === "";
    else if (aggregates(view.query) || (view.range.kind === "between" && !view.replay)) view.live = false;
    if (!view.live) view.replay = 0;
    this.feed.stop(view.live);
    this.#forget();
    this.asked = Date.now();
    this.run++;
    if (view.live || view.topic) this.feed.start();
    else if (aggregates(view.query)) void this.#do("search", () => this.#searchTable());
    else void this.#do("search", () => (view.cursor ? this.#searchAround() : this.#searchNewest()));
    if (!view.topic) void this.#loadHistogram();
    this.draw();
  }

  #forget(): void {
    this.rows.clear();
    this.problem = null;
    this.stats = null;
    this.table = null;
    if (this.view.topic) this.histogram = null;
    this.complete = true;
    this.#older = undefined;
    this.#newer = null;
  }

  #remember(query: string): void {
    if (query.trim() === "") return;
    this.history = [query, ...this.history.filter((known) => known !== query)].slice(0, HISTORY_MAX);
    localStorage.setItem(HISTORY, JSON.stringify(this.history));
  }

  /** Make a call whose failure is told under the query; undefined then. */
  async try<Answer>(call: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      this.problem = error.problem;
      return undefined;
    }
  }

  // -- search ---------------------------------------------------------------------------------------------------

  async #do(what: "search" | "older" | "newer", work: () => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    this.busy = what;
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof CallError)) throw error;
      this.problem = error.problem;
    } finally {
      if (!signal.aborted) this.busy = "";
    }
    this.draw();
  }

  async #searchNewest(): Promise<void> {
    const { signal } = this.#abort;
    const page = await search({ ...this.question(), order: "newest", limit: PAGE_ROWS }, signal);
    this.stats = page.stats;
    this.complete = page.complete;
    this.#older = page.next;
    this.#prepend(page.records);
  }

  async #searchAround(): Promise<void> {
    const { signal } = this.#abort;
    const { at, cursor } = this.view;
    const { from, to, q } = this.question();
    const [before, behind] = await Promise.all([
      search({ q, from, to: at, order: "newest", limit: PAGE_ROWS }, signal),
      search({ q, from: at, to, order: "oldest", limit: PAGE_ROWS }, signal),
    ]);
    this.feed.following = false;
    this.#older = before.next;
    this.#newer = behind.next;
    this.stats = before.stats;
    this.#prepend(before.records);
    this.#append(this.#fresh(behind.records));
    for (let id = this.rows.first; id < this.rows.next; id++) {
      const row = this.rows.get(id);
      if (row?.kind === "line" && row.record.cursor === cursor) this.reveal(id);
    }
  }

  async #searchTable(): Promise<void> {
    const page = await search({ ...this.question(), limit: TABLE_ROWS }, this.#abort.signal);
    this.stats = page.stats;
    this.complete = page.complete;
    this.table = page.records as unknown as TableRow[];
  }

  /** Load the page before the oldest line, when there is one and room for it. */
  loadOlder(): void {
    if (this.busy || this.#older === null || this.table || this.view.topic) return;
    if (this.rows.free < PAGE_ROWS || (this.rows.size === 0 && !this.feed.first)) return;
    void this.#do("older", async () => {
      // A live stream has no token yet: the first page begins at the oldest line, if there is one.
      const oldest = this.rows.get(this.rows.first);
      const where =
        this.#older === undefined && oldest?.kind === "line"
          ? { to: oldest.record.time }
          : { after: this.#older ?? "" };
      const page = await search(
        { ...this.question(), ...where, order: "newest", limit: PAGE_ROWS },
        this.#abort.signal,
      );
      this.#older = page.next;
      const older = oldest
        ? page.records
        : page.records.filter(({ cursor }) => before(cursor, places(this.feed.first)));
      this.#prepend(this.#fresh(older));
    });
  }

  /** Begin with an empty page. */
  clear(): void {
    this.rows.clear();
    this.#older = undefined;
    this.draw();
  }

  /** Let lines go that stand well above the one that is read; they can be loaded again. */
  makeRoom(reading: number): void {
    this.rows.dropFirst(Math.min(ROWS_MAX / 2, Math.max(0, reading - this.rows.first - PAGE_ROWS)));
    this.#older = undefined;
  }

  /** Load the page behind the newest line of a view that began in the middle. */
  loadNewer(): void {
    if (this.busy || this.#newer === null || this.view.live) return;
    void this.#do("newer", async () => {
      const { q, to } = this.question();
      const page = await search(
        { q, from: this.view.at, to, after: this.#newer ?? "", order: "oldest", limit: PAGE_ROWS },
        this.#abort.signal,
      );
      this.#newer = page.next;
      this.#append(this.#fresh(page.records));
    });
  }

  /** Those of the records that are not on the page yet. */
  #fresh(records: LogRecord[]): LogRecord[] {
    const known = new Set<string>();
    for (let id = this.rows.first; id < this.rows.next; id++) {
      const row = this.rows.get(id);
      if (row?.kind === "line") known.add(row.record.cursor);
    }
    return records.filter((record) => !known.has(record.cursor));
  }

  #prepend(newestFirst: LogRecord[]): void {
    for (const record of newestFirst) this.rows.unshift(line(record));
  }

  #append(records: LogRecord[]): void {
    for (const record of records) this.rows.push(line(record));
  }

  // -- gaps -----------------------------------------------------------------------------------------------------

  /** Fetch the lines of a gap from the live log and put them in its place, as far as there is room and they are there. */
  async fill(id: number): Promise<void> {
    const row = this.rows.get(id);
    if (row?.kind !== "gap" || !row.gap.from || !row.gap.to || this.busy) return;
    const [first, stop] = [places(row.gap.from), places(row.gap.to)];
    await this.#do("newer", async () => {
      // What a gap does not name is of no interest: it is read from where it ends now.
      const now = await poll({ q: this.view.query }, 0, this.#abort.signal);
      let at = new Map([...places(behind(now.at(-1) as Frame)), ...first]);
      const found: Row[] = [];
      while (!reached(at, stop) && found.length < this.rows.free) {
        const asked = { q: this.view.query, after: position(at) };
        const frames = await poll(asked, FILL_S, this.#abort.signal);
        found.push(...frames.flatMap((frame) => within(frame, first, stop)));
        const next = places(behind(frames.at(-1) as Frame));
        if (reached(at, next)) break;
        at = next;
      }
      if (this.rows.get(id) !== row) return;
      const shown = found.slice(0, this.rows.free);
      const left = restOf(found.slice(shown.length), at, stop);
      const rest: Row[] = left ? [{ ...row, gap: { ...row.gap, from: left, count: null } }] : [];
      this.rows.replace(id, [...shown, ...rest]);
      if (this.view.order === "event") this.feed.sort();
    });
  }

  // -- figures --------------------------------------------------------------------------------------------------

  async #loadHistogram(): Promise<void> {
    const { signal } = this.#abort;
    this.#histogramAt = Date.now();
    const [filter, pipes] = split(this.view.query);
    try {
      // A stream cannot say what is wrong with its pipes; a search of one line can.
      if (this.view.live && pipes) await search({ ...this.question(), limit: 1 }, signal);
      const answer = await histogram({ ...this.question(), q: filter, buckets: BUCKETS }, signal);
      if (!signal.aborted) this.histogram = answer;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof CallError)) throw error;
      this.histogram = null;
      // A search reports its own problem; a live stream cannot, so this answer speaks for both.
      this.problem ??= error.problem;
      if (this.view.live && error.problem.status >= 400 && error.problem.status < 500) this.feed.close();
    }
  }

  /** Make the histogram reach a moment. A relative range keeps its width: what is too old leaves at the other end. */
  #reach(known: Histogram, at: number): void {
    const missing = Math.floor((at - known.start) / known.spanMs) - known.buckets.length + 1;
    if (missing <= 0 || missing > BUCKETS) return;
    for (let left = missing; left > 0; left--) {
      known.buckets.push({ at: known.start + known.buckets.length * known.spanMs, counts: {} });
    }
    if (this.view.range.kind === "last") {
      known.buckets.splice(0, missing);
      known.start += missing * known.spanMs;
    }
    this.#histogramChanged = true;
  }

  /** A line arrived. */
  countInHistogram(record: LogRecord): void {
    const known = this.histogram;
    if (!known || known.buckets.length === 0) return;
    const at = Date.parse(record.time);
    if (at < Date.now() + known.spanMs) this.#reach(known, at);
    const counts = known.buckets[Math.floor((at - known.start) / known.spanMs)]?.counts;
    if (!counts) return;
    const level = record.level ?? "";
    counts[level] = (counts[level] ?? 0) + 1;
    this.#histogramChanged = true;
  }

  #tick(): void {
    const perSecond = (this.feed.takeArrived() * 1000) / FIGURES_MS;
    const smooth = this.figures.perSecond * 0.75 + perSecond * 0.25;
    this.figures = {
      held: this.rows.size,
      perSecond: smooth < 0.05 ? 0 : smooth,
      latencyMs: this.feed.latencyMs,
    };
    if (++this.#ticks % COUNTS_TICKS === 0) this.feed.showCounts((COUNTS_TICKS * FIGURES_MS) / 1000);
    if (this.view.live && !this.view.replay && this.histogram?.buckets.length)
      this.#reach(this.histogram, Date.now());
    if (this.#histogramChanged && this.histogram) {
      this.#histogramChanged = false;
      this.histogram = { ...this.histogram };
    }
    if (
      this.view.live &&
      !this.view.topic &&
      !document.hidden &&
      this.feed.connection === "open" &&
      Date.now() - this.#histogramAt > HISTOGRAM_MS
    ) {
      this.asked = Date.now();
      void this.#loadHistogram();
    }
  }
}

/** The range that a zoom into the histogram asks for. */
export function between(from: number, to: number): Range {
  return { kind: "between", from: Math.floor(from), to: Math.ceil(to) };
}

/** The rows of a frame that stand in [first, stop). */
function within(frame: Frame, first: Places, stop: Places): Row[] {
  const wanted = (cursor: string) => before(cursor, stop) && !before(cursor, first);
  if (frame.event === "rows")
    return frame.records.filter(({ cursor }) => wanted(cursor)).map((record) => line(record));
  if (frame.event !== "gap" || !frame.from || !wanted(frame.from)) return [];
  return [{ kind: "gap", gap: frame, at: 0 }];
}

/** Where what is left of a stretch begins, which was read up to `at`, when `rows` did not fit; "" when nothing is. */
function restOf(rows: readonly Row[], at: Places, stop: Places): string {
  const left = new Map([...stop.keys()].map((log) => [log, at.get(log) ?? 0]));
  // In each log rows stand in order: the first of them that did not fit is where it goes on.
  for (const row of rows.toReversed()) {
    const cursor = row.kind === "line" ? row.record.cursor : (row.gap.from ?? "");
    for (const [log, offset] of places(cursor)) left.set(log, offset);
  }
  return reached(left, stop) ? "" : position(left);
}
