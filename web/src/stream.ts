/*
One stream that does not end: whatever cuts it, it goes on behind the last frame that came.

Rules
  cut      A connection that fails is opened again from the newest checkpoint, later and later.
  silent   The server speaks every ten seconds. When nothing came for SILENT_MS (the machine slept, a cable was
           pulled: nobody says so), the connection is given up; also when the page becomes visible or the network is
           back, which is looked at at once.
  mute     A proxy may hold a stream back. When a connection has failed, or brought no frame for MUTE_MS, what there
           is instead (the long-poll) is asked as well: what brings a frame first stays, the other is closed. Polling
           is given up after POLLING_MS, to try the stream again.
  end      The server says when to come back; without that it is as a cut. Done is done: nothing is opened again.
*/
import type { Frame, Opening, Start } from "./frames";
import type { Transport } from "./transport";
import type { End, Problem } from "./types";

export type Connection = "off" | "connecting" | "open" | "lost";

export interface Listener {
  /** `from` is the position before the frame; "" before the first. */
  frame(frame: Frame, from: string): void;
  /** `why` is what the server said when it ended the stream or refused it. */
  connection(state: Connection, why?: End): void;
}

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 15_000;
const SILENT_MS = 25_000;
const LOOK_MS = 5000;
const MUTE_MS = 4000;
const POLLING_MS = 60_000;

export class Stream {
  /** Behind the last frame that came; "" before the first. */
  position: string;
  #question: Opening;
  #start: Start;
  #transport: Transport;
  #instead: Transport | undefined;
  #listener: Listener;
  /** What is open now: the one, and the long-poll beside it while neither has brought anything. */
  #open = new Map<Transport, () => void>();
  /** A frame has come on this connection. */
  #spoke = false;
  #done = false;
  #heardAt = 0;
  #retryMs = RETRY_MS_MIN;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #watch: ReturnType<typeof setInterval>;
  #over = new AbortController();

  /** `instead` is what else brings the same frames. */
  constructor(
    question: Opening,
    start: Start,
    listener: Listener,
    transport: Transport,
    instead?: Transport,
  ) {
    this.#question = question;
    this.#start = start;
    this.position = "after" in start ? start.after : "";
    this.#transport = transport;
    this.#instead = instead;
    this.#listener = listener;
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
    const { signal } = this.#over;
    addEventListener("online", () => this.#look(true), { signal });
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    this.#connect();
  }

  /** Without a word to the listener. */
  close(): void {
    this.#over.abort();
    clearInterval(this.#watch);
    this.#drop();
  }

  #look(online = false): void {
    const waits = this.#open.size === 0;
    if (this.#done) return;
    if (waits ? online : Date.now() - this.#heardAt > SILENT_MS) this.#connect();
  }

  #drop(): void {
    for (const close of this.#open.values()) close();
    this.#open.clear();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
  }

  #later(ms: number, work: () => void): void {
    this.#timers.push(setTimeout(work, ms));
  }

  #connect(): void {
    this.#drop();
    this.#spoke = false;
    this.#heardAt = Date.now();
    this.#listener.connection("connecting");
    this.#dial(this.#transport);
    this.#later(MUTE_MS, () => this.#dialInstead());
  }

  #dial(transport: Transport): void {
    if (this.#open.has(transport)) return;
    const start = this.position ? { after: this.position } : this.#start;
    this.#open.set(transport, () => {});
    const close = transport(
      { ...this.#question, ...start },
      {
        open: () => this.#opened(),
        frame: (frame, position) => this.#take(transport, frame, position),
        failed: (problem) => this.#failed(transport, problem),
      },
    );
    if (this.#open.has(transport)) this.#open.set(transport, close);
  }

  #dialInstead(): void {
    if (this.#instead) this.#dial(this.#instead);
  }

  #opened(): void {
    if (this.#open.size === 1) this.#listener.connection("open");
  }

  #take(transport: Transport, frame: Frame, position: string): void {
    if (!this.#spoke) this.#settle(transport);
    this.#heardAt = Date.now();
    this.#retryMs = RETRY_MS_MIN;
    const from = this.position;
    this.position = position || from;
    if (frame.event === "end" && frame.done) {
      this.#done = true;
      this.#drop();
      this.#listener.connection("off");
    } else if (frame.event === "end") this.#again(frame);
    else this.#listener.frame(frame, from);
  }

  /** This one speaks: it stays alone. */
  #settle(transport: Transport): void {
    const close = this.#open.get(transport) ?? (() => {});
    this.#open.delete(transport);
    this.#drop();
    this.#open.set(transport, close);
    this.#spoke = true;
    this.#listener.connection("open");
    if (transport === this.#instead) this.#later(POLLING_MS, () => this.#connect());
  }

  #failed(transport: Transport, problem?: Problem): void {
    this.#open.delete(transport);
    if (this.#open.size > 0) return;
    // A connection cannot say why it was refused; the long-poll can, and may go on where the other did not.
    if (this.#instead && transport !== this.#instead && !this.#spoke) this.#dialInstead();
    else this.#again(problem?.status ? refusal(problem) : undefined);
  }

  #again(end?: End): void {
    this.#drop();
    this.#listener.connection("lost", end);
    this.#later(end?.retry_s ? end.retry_s * 1000 : this.#retryMs, () => this.#connect());
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
  }
}

/** What a refusal says, as the end of a stream says it. */
function refusal({ detail, limit, until }: Problem): End {
  const retry_s = until ? Math.max(1, (Date.parse(until) - Date.now()) / 1000) : undefined;
  return { why: detail, limit, retry_s };
}
