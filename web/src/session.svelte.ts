/*
What the page knows and does: the view (kept in the address), the lines it holds, the search or the live stream that
feeds them, and what goes with them (histogram, figures).

Rules
  - Lines stand oldest first; a search fills the end and pages towards the beginning, a live stream adds at the end.
  - While a person reads (not following), nothing that is on the page leaves it. New lines are kept below, up to the
    capacity; beyond it they are only counted (`held`), and fetched again from the checkpoint of the last line kept
    when the person goes on. So pausing loses nothing and memory stays bounded.
  - A run replaces everything: answers to an earlier run are cancelled, and ignored if they come all the same.
*/
import { untrack } from "svelte";
import { behind, CallError, type Histogram, histogram, search } from "./client";
import { aggregates, split } from "./query";
import { Rows } from "./rows";
import { type Connection, Tail } from "./tail";
import { span } from "./time";
import type { Gap, LogRecord, Ping, Problem, SearchStats, Row as TableRow } from "./types";
import { fromAddress, type Range, toAddress, type View } from "./view";

export interface Line {
  kind: "line";
  record: LogRecord;
  at: number;
}

export interface Hole {
  kind: "gap";
  gap: Gap;
}

export type Row = Line | Hole;

const ROWS_MAX = 65_536;
const PAGE_ROWS = 500;
const TAIL_LAST = 300;
const TABLE_ROWS = 1000;
const HISTORY_MAX = 50;
const BUCKETS = 120;
const FIGURES_MS = 250;
const HISTOGRAM_MS = 15_000;
const HISTORY = "tailrace.history";

const isError = (record: LogRecord) => record.level === "error" || record.level === "fatal";

export class Session {
  view = $state<View>(fromAddress(location.search));
  /** The text in the query box, which is not yet run. */
  draft = $state("");
  problem = $state.raw<Problem | null>(null);
  following = $state(true);
  waiting = $state.raw({ lines: 0, errors: 0 });
  /** New lines are only counted: the page is full. */
  held = $state(false);
  busy = $state<"" | "search" | "older" | "newer">("");
  connection = $state<Connection>("off");
  ended = $state("");
  ping = $state.raw<Ping | null>(null);
  figures = $state.raw({ held: 0, perSecond: 0, latencyMs: -1 });
  stats = $state.raw<SearchStats | null>(null);
  complete = $state(true);
  histogram = $state.raw<Histogram | null>(null);
  table = $state.raw<TableRow[] | null>(null);
  history = $state.raw<string[]>(JSON.parse(localStorage.getItem(HISTORY) ?? "[]"));
  /** Counts runs; what depends on the question watches it. */
  run = $state(0);
  /** When the question was asked: relative ranges are relative to it. */
  asked = $state(Date.now());

  readonly rows = new Rows<Row>(ROWS_MAX);
  /** Set by the list: called when rows came or went. */
  draw: () => void = () => {};
  /** Set by the list: bring a line into view. */
  reveal: (id: number) => void = () => {};

  #abort = new AbortController();
  #tail: Tail | undefined;
  #stored = "";
  #older: string | null | undefined;
  #newer: string | null = null;
  #arrived = 0;
  #latencyMs = -1;
  /** When the stream was opened, as the beginning of the text of a time: what was observed later has arrived live. */
  #opened = "";
  #histogramChanged = false;
  #histogramAt = 0;

  constructor() {
    this.draft = this.view.query;
    setInterval(() => this.#tick(), FIGURES_MS);
    addEventListener("popstate", () => {
      this.view = fromAddress(location.search);
      this.draft = this.view.query;
      this.start();
    });
  }

  get paused(): boolean {
    return this.view.live && !this.following;
  }

  /** What a person must know first: live, paused, or why it is neither. */
  get state(): Connection | "paused" {
    return this.paused && this.connection === "open" ? "paused" : this.connection;
  }

  /** Whether older pages may exist. */
  get hasOlder(): boolean {
    return this.#older !== null;
  }

  /** Change the view and ask again. */
  ask(change: Partial<View>): void {
    Object.assign(this.view, { cursor: "", at: "" }, change);
    this.draft = this.view.query;
    this.#remember(this.view.query);
    history.pushState(null, "", toAddress(this.view));
    this.start();
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
    this.#tail?.close();
    this.#tail = undefined;
    this.#forget();
    this.asked = Date.now();
    this.run++;
    const { view } = this;
    if (view.live && (view.range.kind === "between" || aggregates(view.query))) view.live = false;
    if (view.live) this.#startTail({ last: TAIL_LAST });
    else if (aggregates(view.query)) void this.#do("search", () => this.#searchTable());
    else void this.#do("search", () => (view.cursor ? this.#searchAround() : this.#searchNewest()));
    void this.#loadHistogram();
    this.draw();
  }

  #forget(): void {
    this.rows.clear();
    this.following = true;
    this.held = false;
    this.waiting = { lines: 0, errors: 0 };
    this.problem = null;
    this.ping = null;
    this.stats = null;
    this.table = null;
    this.complete = true;
    this.ended = "";
    this.#older = undefined;
    this.#newer = null;
    this.#stored = "";
    this.#latencyMs = -1;
    this.#arrived = 0;
  }

  #remember(query: string): void {
    if (query.trim() === "") return;
    this.history = [query, ...this.history.filter((known) => known !== query)].slice(0, HISTORY_MAX);
    localStorage.setItem(HISTORY, JSON.stringify(this.history));
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
    this.following = false;
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
    if (this.busy || this.#older === null || this.rows.size === 0 || this.table) return;
    if (this.rows.free < PAGE_ROWS) return;
    void this.#do("older", async () => {
      // A live stream that began with its last lines has no token yet: the first page begins at the oldest line.
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
      this.#prepend(this.#fresh(page.records));
    });
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

  // -- live -----------------------------------------------------------------------------------------------------

  #startTail(start: { last?: number; after?: string }): void {
    this.#opened = new Date().toISOString().slice(0, 23);
    this.#tail = new Tail(
      { query: this.view.query, ...start },
      {
        rows: (records, checkpoint) => this.#onRows(records, checkpoint),
        gap: (gap) => this.#onGap(gap),
        ping: (ping) => {
          this.ping = ping;
        },
        connection: (state, why) => {
          this.connection = state;
          this.ended = why ?? "";
        },
      },
    );
  }

  #onRows(records: LogRecord[], checkpoint: string): void {
    const newest = records.at(-1);
    if (!newest) return;
    const fresh = records.filter((record) => record.observed > this.#opened);
    if (fresh.length > 0) this.#latencyMs = Math.max(0, Date.now() - Date.parse(newest.observed));
    this.#arrived += fresh.length;
    for (const record of fresh) this.#countInHistogram(record);
    if (!this.following) {
      const errors = records.filter(isError).length;
      this.waiting = { lines: this.waiting.lines + records.length, errors: this.waiting.errors + errors };
      if (this.held || this.rows.free < records.length) {
        this.held = true;
        return;
      }
    }
    this.#stored = checkpoint;
    for (const record of records) this.rows.push(line(record));
    this.draw();
  }

  #onGap(gap: Gap): void {
    if (!this.held) this.rows.push({ kind: "gap", gap });
    this.draw();
  }

  pause(): void {
    this.following = false;
    this.waiting = { lines: 0, errors: 0 };
  }

  /** Follow again; with nothing held that is all there is to it. */
  resume(): void {
    if (this.held) this.goOn(this.rows.next);
    this.following = true;
    this.waiting = { lines: 0, errors: 0 };
    this.draw();
  }

  /** Fetch what was only counted, from where the page is full; lines well above `reading` make room. */
  goOn(reading: number): void {
    if (!this.held) return;
    this.rows.dropFirst(Math.min(ROWS_MAX / 2, Math.max(0, reading - this.rows.first - PAGE_ROWS)));
    this.#older = undefined;
    this.held = false;
    this.waiting = { lines: 0, errors: 0 };
    this.#tail?.close();
    this.#startTail({ after: this.#stored });
    this.draw();
  }

  /** Leave out what was only counted, say so in a row from which it can be fetched, and follow. */
  jumpToNow(): void {
    if (!this.held) {
      this.resume();
      return;
    }
    this.#tail?.close();
    this.rows.dropFirst(ROWS_MAX / 2);
    this.rows.push({ kind: "gap", gap: { from: this.#stored, to: "", count: null, why: "jumped" } });
    this.held = false;
    this.#older = undefined;
    this.following = true;
    this.waiting = { lines: 0, errors: 0 };
    this.#startTail({ last: TAIL_LAST });
    this.draw();
  }

  /** Fetch the lines of a gap from the live log and put them in its place, as far as there is room and they are there. */
  async fill(id: number): Promise<void> {
    const row = this.rows.get(id);
    if (row?.kind !== "gap" || !row.gap.from || this.busy) return;
    const { gap } = row;
    const following = this.rows.get(id + 1);
    const stop = following?.kind === "line" ? following.record.cursor : gap.to;
    await this.#do("newer", async () => {
      const found: LogRecord[] = [];
      let at = gap.from ?? "";
      let room = this.rows.free;
      while (before(at, stop) && found.length < room) {
        const { records, next } = await behind(this.view.query, at, this.#abort.signal);
        found.push(...records.filter((record) => before(record.cursor, stop)));
        if (next === at) break;
        at = next;
        room = this.rows.free;
      }
      const shown = found.slice(0, room);
      const from = found[shown.length]?.cursor ?? at;
      const rest: Row[] = before(from, stop) ? [{ kind: "gap", gap: { ...gap, from, count: null } }] : [];
      if (this.rows.get(id) === row) this.rows.replace(id, [...shown.map(line), ...rest]);
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
      if (this.view.live && error.problem.status >= 400 && error.problem.status < 500) this.#tail?.close();
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

  #countInHistogram(record: LogRecord): void {
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
    const perSecond = (this.#arrived * 1000) / FIGURES_MS;
    this.#arrived = 0;
    const smooth = this.figures.perSecond * 0.75 + perSecond * 0.25;
    this.figures = {
      held: this.rows.size,
      perSecond: smooth < 0.05 ? 0 : smooth,
      latencyMs: this.#latencyMs,
    };
    if (this.view.live && this.histogram?.buckets.length) this.#reach(this.histogram, Date.now());
    if (this.#histogramChanged && this.histogram) {
      this.#histogramChanged = false;
      this.histogram = { ...this.histogram };
    }
    if (
      this.view.live &&
      !document.hidden &&
      this.connection === "open" &&
      Date.now() - this.#histogramAt > HISTOGRAM_MS
    ) {
      this.asked = Date.now();
      void this.#loadHistogram();
    }
  }
}

/** Whether one cursor of a log stands before another of the same log. */
function before(one: string, other: string): boolean {
  return Number(one.split("-")[1]) < Number(other.split("-")[1]);
}

function line(record: LogRecord): Line {
  return { kind: "line", record, at: Date.parse(record.time) };
}

/** The range that a zoom into the histogram asks for. */
export function between(from: number, to: number): Range {
  return { kind: "between", from: Math.floor(from), to: Math.ceil(to) };
}
