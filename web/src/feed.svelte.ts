/*
The live end of the page: what arrives, where it is put, and what is only counted.

Rules
  - A tail has a beginning (`#origin`): the position of its first stream. Another question while live begins there
    again, so what a filter hid comes back when it goes. When that is too long ago, the newest lines are asked for
    instead; older ones come as the person scrolls up.
  - While a person reads (not following), nothing that is on the page leaves it. New lines are kept below, up to the
    capacity; beyond it they are only counted (`held`), and fetched again from the checkpoint of the last line kept
    when the person goes on. So pausing loses nothing and memory stays bounded.
  - A line is late when it arrives after lines that are much newer; it says so in either order. In the order of events
    it is put among the lines held, in the order of arrival it stands where it came.
  - What came is tallied, compared with what each ping says was sent, and on demand with what a search finds.
*/
import { get } from "./client";
import { Counts } from "./counts";
import { behind, type Frame, type Question, type Rows, type Start } from "./frames";
import { compare, type Line, line, type Row } from "./line";
import { between, places } from "./position";
import { Reading } from "./reading.svelte";
import { Replay } from "./replay.svelte";
import type { Session } from "./session.svelte";
import type { Connection, Listener } from "./stream";
import { Tail } from "./tail";
import { Tally } from "./tally";
import type { Topic } from "./topic";
import type { Gap, LogRecord, Ping, Problem } from "./types";

const TAIL_LAST = 300;
const LATE_MS = 5000;
/** Records of the log that another question goes back over; a tail that began before shows its newest lines. */
const STRETCH_MAX = 262_144;
const STRETCH_LAST = 32_768;
const NONE = { lines: 0, errors: 0, warnings: 0 };

const isError = (record: LogRecord) => record.level === "error" || record.level === "fatal";
const isWarning = (record: LogRecord) => record.level === "warn";

/** What a comparison with a search gave. */
export interface Verdict {
  same: boolean;
  came: number;
  skipped: number;
  found: number;
}

export class Feed {
  following = $state(true);
  /** What arrived while the person reads. */
  waiting = $state.raw(NONE);
  /** New lines are only counted: the page is full. */
  held = $state(false);
  connection = $state<Connection>("off");
  /** Why the stream is not open, when the server said so, and when it goes on (milliseconds, 0: soon). */
  ended = $state.raw<{ why: string; limit: string; backAt: number } | null>(null);
  ping = $state.raw<Ping | null>(null);
  /** Whether all came that was sent, as far as pings say; null while there was none to compare with. */
  complete = $state<boolean | null>(null);
  verdict = $state.raw<Verdict | null>(null);
  /** What came, counted; null while nobody looks at it. */
  counts = $state.raw<{ of: Counts } | null>(null);
  /** Milliseconds from when the newest line was read to when it was here; -1 while unknown. */
  latencyMs = -1;
  /** Where the stream began: what stands before it comes from a search. */
  first = "";

  /** The past that is being played; null while it is not. */
  replay = $state.raw<Replay | null>(null);
  /** The messages of a topic that are read; null while logs are shown. */
  reading = $state.raw<Reading | null>(null);

  #session: Session;
  #tail: Tail | undefined;
  #origin = "";
  /** Behind the last record that the page took, and behind the last that arrived. */
  #stored = "";
  #newest = "";
  #newestAt = 0;
  #tally = new Tally();
  #counting = false;
  #arrived = 0;
  /** What a jump to now left out, until it is known where the stream goes on. */
  #jumped: Gap | undefined;
  /** When the stream was opened, as the beginning of the text of a time: what was observed later has arrived live. */
  #opened = "";

  constructor(session: Session) {
    this.#session = session;
  }

  get paused(): boolean {
    return this.#session.view.live && !this.following;
  }

  /** What a person must know first: live, paused, or why it is neither. */
  get state(): Connection | "paused" {
    return this.paused && this.connection === "open" ? "paused" : this.connection;
  }

  /** Begin a run: where this tail began, or with the last lines. */
  start(): void {
    if (this.#session.view.topic) {
      this.#startReading(this.#session.view.topic);
      return;
    }
    if (this.#session.view.replay) {
      this.#startReplay();
      return;
    }
    const stretch = between(places(this.#origin), places(this.#newest));
    if (!this.#origin) this.#open({ last: TAIL_LAST });
    else if (stretch <= STRETCH_MAX) this.#open({ after: this.#origin });
    else this.#open({ last: STRETCH_LAST });
  }

  /** End the run; a tail that goes on with another question keeps its beginning. */
  stop(goesOn: boolean): void {
    this.close();
    if (!goesOn || this.#session.view.replay) this.#origin = this.#newest = "";
    if (!this.#session.view.replay) this.replay = null;
    this.reading = null;
    this.connection = "off";
    this.following = true;
    this.held = false;
    this.waiting = NONE;
    this.ping = null;
    this.complete = null;
    this.verdict = null;
    this.#tally.begin("");
    this.counts = null;
    this.first = "";
    this.ended = null;
    this.latencyMs = -1;
    this.#stored = "";
    this.#newestAt = 0;
    this.#arrived = 0;
    this.#jumped = undefined;
  }

  close(): void {
    this.#tail?.close();
    this.#tail = undefined;
    this.replay?.close();
    this.reading?.close();
  }

  /** Read messages: what has an end is shown from its beginning, what goes on from its newest. */
  #startReading(topic: Topic): void {
    const { view } = this.#session;
    this.following = view.live;
    if (topic.name === "") return;
    const refused = (problem: Problem) => {
      this.#session.problem = problem;
    };
    this.reading = new Reading(topic, view.query, this.#listener(), refused);
  }

  /** Play from the beginning of the replay, or, with another question, from where its clock stands. */
  #startReplay(): void {
    const { view } = this.#session;
    const to = view.range.kind === "between" ? view.range.to : 0;
    this.#opened = new Date().toISOString().slice(0, 23);
    if (this.replay?.from !== view.replay) this.replay = new Replay(view.replay, to);
    this.replay.open(view.query, this.#listener());
  }

  /** Go on from another moment of the replay. */
  seek(at: number): void {
    this.first = "";
    this.#session.clear();
    this.replay?.seek(at);
  }

  /** Whether what comes is to be counted, from where the tail began. */
  count(on: boolean): void {
    if (on === this.#counting) return;
    this.#counting = on;
    if (!on || !this.#tail || this.held) return;
    if (this.following) this.#session.start();
    else {
      // Nothing moves under a person who reads: what is counted begins here.
      this.close();
      this.#open({ after: this.#stored });
    }
  }

  /** So many seconds have passed: show what was counted. */
  showCounts(seconds: number): void {
    this.counts?.of.tick(seconds);
    if (this.counts) this.counts = { ...this.counts };
  }

  /** How many lines arrived since the last call. */
  takeArrived(): number {
    const arrived = this.#arrived;
    this.#arrived = 0;
    return arrived;
  }

  pause(): void {
    this.following = false;
    this.waiting = NONE;
  }

  /** Pause or go on, whatever is on. */
  flip(): void {
    if (this.replay) this.replay.playing ? this.replay.pause() : this.replay.go();
    else if (this.#session.view.live && this.following) this.pause();
    else this.resume();
  }

  /** Follow again; with nothing held that is all there is to it. */
  resume(): void {
    if (this.held) this.goOn(this.#session.rows.next);
    this.following = true;
    this.waiting = NONE;
    this.#session.draw();
  }

  /** Fetch what was only counted, from where the page is full; lines well above `reading` make room. */
  goOn(reading: number): void {
    if (!this.held) return;
    this.#session.makeRoom(reading);
    this.held = false;
    this.waiting = NONE;
    this.close();
    if (this.reading) this.reading.goOn(this.#stored);
    else if (this.replay) this.replay.goOn(this.#stored);
    else this.#open({ after: this.#stored });
    this.#session.draw();
  }

  /** Leave out what was only counted, say so in a row from which it can be fetched, and follow. */
  jumpToNow(): void {
    if (!this.held || this.replay || this.reading) {
      this.resume();
      return;
    }
    const { rows } = this.#session;
    this.close();
    this.#session.makeRoom(rows.next);
    this.#jumped = { from: this.#stored, to: "", count: null, why: "jumped" };
    this.#pushGap(this.#jumped);
    this.#tally.begin("");
    this.held = false;
    this.following = true;
    this.waiting = NONE;
    this.#open({ last: TAIL_LAST });
    this.#session.draw();
  }

  /** Put what is held in the order of the view. */
  sort(): void {
    const { order } = this.#session.view;
    this.#session.rows.sort((one, other) => compare(one, other, order));
    this.#session.draw();
  }

  /** Compare what came with what a search finds over the same positions. */
  async verify(): Promise<void> {
    const { from, to, count, skipped, digest } = this.#tally;
    const tail = this.#tail;
    this.verdict = null;
    if (!from) return;
    const found = await this.#session.try(() => get("verify", { q: this.#session.view.query, from, to }));
    if (!found || this.#tail !== tail) return;
    const same = found.count === count + skipped && found.digest === digest;
    this.verdict = { same, came: count, skipped, found: found.count };
  }

  #open(start: Start): void {
    this.#opened = new Date().toISOString().slice(0, 23);
    this.first = "after" in start ? start.after : "";
    if (this.#counting) this.counts ??= { of: new Counts() };
    const { query: q, context } = this.#session.view;
    const question: Question = { q, context: context || undefined, counts: this.#counting || undefined };
    this.#tail = new Tail(question, start, this.#listener());
  }

  #listener(): Listener {
    return {
      frame: (frame) => this.#onFrame(frame),
      connection: (state, end) => {
        this.connection = state;
        const backAt = end?.retry_s ? Date.now() + end.retry_s * 1000 : 0;
        this.ended = end ? { why: end.why, limit: end.limit ?? "", backAt } : null;
      },
    };
  }

  #onFrame(frame: Frame): void {
    if (this.reading) this.#onMessages(frame);
    else if (frame.event === "rows") this.#onRows(frame);
    else if (frame.event === "gap") this.#onGap(frame);
    else if (frame.event === "ping") this.#onPing(frame);
    else this.#onPosition(behind(frame));
  }

  /** Partitions have positions of their own, and no order among each other: nothing is late, nothing is tallied. */
  #onMessages(frame: Frame): void {
    if (frame.event === "gap" && !this.held) this.#pushGap(frame);
    if (frame.event === "rows") this.#takeMessages(frame.records, frame.next);
    this.#session.draw();
  }

  #takeMessages(records: LogRecord[], checkpoint: string): void {
    this.#arrived += records.length;
    if (!this.following) this.#wait(records.length, records);
    if (this.held) return;
    this.#stored = checkpoint;
    this.#put(records.map((record) => line(record)));
  }

  /** Note where a stream begins, and how far it has come. */
  #reach(from: string, checkpoint: string): void {
    this.first ||= from;
    if (this.#jumped) this.#jumped.to = from;
    this.#jumped = undefined;
    if (!this.#tally.from) this.#tally.begin(from);
    this.#origin ||= from;
    this.#newest = checkpoint;
  }

  /** The replay has come to now. */
  #goLive(after: string): void {
    this.close();
    this.replay = null;
    this.#session.show({ replay: 0 });
    this.#origin = this.#newest = "";
    this.#tally.begin("");
    this.#open({ after });
  }

  #onPosition(checkpoint: string): void {
    this.#reach(checkpoint, checkpoint);
    if (!this.held) this.#stored = checkpoint;
    this.#session.draw();
  }

  #onPing(ping: Ping): void {
    if (this.replay) {
      if (!ping.clock) this.#goLive(ping.checkpoint);
      return;
    }
    this.#reach(ping.from, ping.checkpoint);
    this.ping = ping;
    if (!this.held) {
      this.#stored = ping.checkpoint;
      const agrees = this.#tally.agrees(ping);
      if (agrees !== null) this.complete = agrees && this.complete !== false;
    }
    this.#session.draw();
  }

  #onRows({ records, next: checkpoint, counts }: Rows): void {
    const newest = records.at(-1);
    const matches = records.filter((record) => !record.context);
    this.#reach(matches[0]?.cursor ?? checkpoint, checkpoint);
    const fresh = matches.filter((record) => record.observed > this.#opened);
    if (newest && fresh.length > 0) this.latencyMs = Math.max(0, Date.now() - Date.parse(newest.observed));
    this.#arrived += this.replay ? matches.length : fresh.length;
    for (const record of fresh) this.#session.countInHistogram(record);
    if (!this.following) this.#wait(records.length, matches);
    if (this.held) return;
    this.#stored = checkpoint;
    this.#tally.add(records, checkpoint);
    if (counts) this.counts?.of.add(counts, fresh.length === matches.length);
    this.#put(records.map((record) => this.#line(record)));
    this.#session.draw();
  }

  /** Count what arrives while the person reads; when it does not fit any more, counting is all that is done with it. */
  #wait(rows: number, matches: LogRecord[]): void {
    this.held ||= this.#session.rows.free < rows;
    this.waiting = {
      lines: this.waiting.lines + matches.length,
      errors: this.waiting.errors + matches.filter(isError).length,
      warnings: this.waiting.warnings + matches.filter(isWarning).length,
    };
  }

  #line(record: LogRecord): Line {
    const made = line(record);
    made.late = !record.context && this.#newestAt - made.at > LATE_MS;
    // A time that lies in the future makes nothing late.
    this.#newestAt = Math.max(this.#newestAt, Math.min(made.at, Date.parse(record.observed)));
    return made;
  }

  #put(lines: Line[]): void {
    const { rows, view } = this.#session;
    if (view.order === "arrival") for (const one of lines) rows.push(one);
    else {
      const order = (one: Row, other: Row) => compare(one, other, "event");
      rows.merge(lines.sort(order), order);
    }
  }

  #onGap(gap: Gap): void {
    const checkpoint = gap.next ?? gap.to;
    if (gap.why === "reset") this.#origin = this.first = "";
    this.#reach(checkpoint, checkpoint);
    if (!this.held) {
      this.#stored = checkpoint;
      this.#tally.skip(gap, checkpoint);
      this.#pushGap(gap);
    }
    this.#session.draw();
  }

  #pushGap(gap: Gap): void {
    const { rows } = this.#session;
    rows.push({ kind: "gap", gap, at: rows.get(rows.next - 1)?.at ?? 0 });
  }
}
