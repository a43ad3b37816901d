/*
A tail that the tabs of one browser share: one stream for each question, however many tabs ask it.

Rules
  hold      The tab that has the lock named after the question holds the stream, and passes every frame on, with the
            position before it. So each frame says what it covers: [from, behind).
  join      Another tab reads by itself, in polls, up to a position P. Of a frame it takes what lies behind P; when one
            begins behind P it reads on first. So nothing comes twice and nothing is left out. In each of several logs.
  succeed   When the holder closes, its lock goes to the next, whose stream begins at its own P. A holder that has
            said nothing for so long that it must be asleep loses the lock.
  slots     A browser has six connections for a server without HTTP/2. Four questions at most use one each; the
            others use a WebSocket, which is not counted. Where there are no locks (a page that is not from this
            machine and not encrypted) every tab has a WebSocket.
*/
import { CallError } from "./client";
import { behind, type Frame, poll, type Question, type Start } from "./frames";
import { before, furthest, log, places, position, reached } from "./position";
import { type Connection, type Listener, Stream } from "./stream";
import { events, polls, socket } from "./transport";
import type { End } from "./types";

export type { Connection } from "./stream";

type Told =
  | { kind: "hello" | "holder" }
  | { kind: "state"; state: Connection; why: End | undefined }
  | { kind: "frame"; from: string; frame: Frame };
type Covering = Extract<Told, { kind: "frame" }>;

const SLOTS = 4;
const POLL_S = 0.2;
const AGAIN_MS = 1000;
const LOOK_MS = 5000;
/** Longer than a stream takes to notice that it is cut; and not the same for every tab. */
const ASLEEP_MS = 35_000 + Math.random() * 10_000;
const PENDING_FRAMES_MAX = 1000;

export class Tail {
  #question: Question;
  #start: Start;
  #listener: Listener;
  #name: string;
  #position = "";
  #channel: BroadcastChannel | undefined;
  #stream: Stream | undefined;
  #state: Connection = "connecting";
  #why: End | undefined;
  /** Somebody listens. */
  #shared = false;
  #release: () => void = () => {};
  #pending: Covering[] = [];
  #reading: AbortController | undefined;
  #heardAt = Date.now();
  #watch: ReturnType<typeof setInterval> | undefined;
  #over = new AbortController();

  constructor(question: Question, start: Start, listener: Listener) {
    this.#question = question;
    this.#start = start;
    this.#listener = listener;
    this.#position = "after" in start ? start.after : "";
    this.#name = `tailrace ${new URL(".", document.baseURI).pathname} ${JSON.stringify(question)}`;
    listener.connection("connecting");
    if (navigator.locks) void this.#share();
    else this.#stream = new Stream({ ...question }, start, listener, socket, polls);
  }

  close(): void {
    this.#over.abort();
    this.#leave();
    clearInterval(this.#watch);
    this.#reading?.abort();
    this.#channel?.close();
    this.#listener.connection("off");
  }

  get #closed(): boolean {
    return this.#over.signal.aborted;
  }

  async #share(): Promise<void> {
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#watch = setInterval(() => {
      if (!this.#holds && Date.now() - this.#heardAt > ASLEEP_MS) void this.#lock({ steal: true });
    }, LOOK_MS);
    await this.#lock({ ifAvailable: true });
    while (!this.#closed) {
      this.#say({ kind: "hello" });
      void this.#read();
      await this.#lock({ signal: this.#over.signal });
    }
  }

  // -- the holder -----------------------------------------------------------------------------------------------

  get #holds(): boolean {
    return this.#stream !== undefined;
  }

  /** Hold the stream while the lock is ours: until the tail is closed, or another tab thought us asleep. */
  async #lock(options: LockOptions): Promise<void> {
    try {
      await navigator.locks.request(this.#name, options, (lock) =>
        lock && !this.#closed ? this.#hold() : undefined,
      );
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
      this.#leave();
    }
  }

  async #hold(): Promise<void> {
    const released = new Promise<void>((release) => {
      this.#release = release;
    });
    const release = await slot();
    if (!this.#closed) {
      this.#reading?.abort();
      this.#pending = [];
      const start = this.#position ? { after: this.#position } : this.#start;
      const transport = release ? events : socket;
      this.#stream = new Stream({ ...this.#question }, start, this.#relay(), transport, polls);
      this.#say({ kind: "holder" });
      await released;
    }
    release?.();
  }

  /** Listens to the stream for this tab and the others. */
  #relay(): Listener {
    return {
      frame: (frame, from) => {
        this.#deliver(frame, from);
        if (this.#shared) this.#say({ kind: "frame", from, frame });
      },
      connection: (state, why) => {
        this.#tell(state, why);
        this.#say({ kind: "state", state, why });
      },
    };
  }

  #leave(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#release();
  }

  #say(told: Told): void {
    if (!this.#closed) this.#channel?.postMessage(told);
  }

  // -- the others -----------------------------------------------------------------------------------------------

  #hear(told: Told): void {
    this.#heardAt = Date.now();
    if (this.#holds) {
      if (told.kind !== "hello") return;
      this.#shared = true;
      this.#say({ kind: "state", state: this.#state, why: this.#why });
      const { position } = this.#stream as Stream;
      if (position) this.#say({ kind: "frame", from: position, frame: { event: "at", next: position } });
    } else if (told.kind === "holder") this.#say({ kind: "hello" });
    else if (told.kind === "state") this.#tell(told.state, told.why);
    else if (told.kind === "frame") this.#join(told);
  }

  #join(told: Covering): void {
    const { from, frame } = told;
    if (this.#reading || !this.#position || this.#misses(from)) {
      this.#pending.push(told);
      if (this.#pending.length > PENDING_FRAMES_MAX) this.#pending.shift();
      void this.#read();
      return;
    }
    const [known, end] = [places(this.#position), places(behind(frame))];
    const next = position(furthest(known, end));
    if (frame.event === "rows") {
      const began = places(from);
      // Lines around a match may stand before what the frame covers: only what was seen already is left out.
      const seen = (cursor: string) =>
        (began.get(log(cursor)) ?? 0) < (known.get(log(cursor)) ?? 0) && before(cursor, known);
      const records = frame.records.filter(({ cursor }) => !seen(cursor));
      if (!reached(known, end)) this.#deliver({ ...frame, records, next }, this.#position);
    } else if (frame.event === "gap") {
      if (!reached(known, places(frame.to))) this.#deliver({ ...frame, next }, this.#position);
    } else if (reached(end, known)) this.#deliver(frame, this.#position);
  }

  /** Whether there is something between what this tab has and a position. */
  #misses(from: string): boolean {
    return !reached(places(this.#position), places(from));
  }

  /** Read up to where the pending frames begin, then take those. */
  async #read(): Promise<void> {
    if (this.#reading || this.#holds || this.#closed) return;
    const reading = new AbortController();
    this.#reading = reading;
    try {
      do {
        const start = this.#position ? { after: this.#position } : this.#start;
        for (const frame of await poll({ ...this.#question, ...start }, POLL_S, reading.signal)) {
          this.#deliver(frame, this.#position);
        }
      } while (this.#pending[0] && this.#misses(this.#pending[0].from));
    } catch (error) {
      if (reading.signal.aborted) return;
      if (!(error instanceof CallError)) throw error;
      setTimeout(() => void this.#read(), AGAIN_MS);
      return;
    } finally {
      this.#reading = undefined;
    }
    for (const told of this.#pending.splice(0)) this.#join(told);
  }

  #deliver(frame: Frame, from: string): void {
    this.#position = behind(frame) || this.#position;
    this.#listener.frame(frame, from);
  }

  #tell(state: Connection, why: End | undefined): void {
    this.#state = state;
    this.#why = why;
    this.#listener.connection(state, why);
  }
}

/** One of the connections that streams may use, until it is released; undefined when all are in use. */
async function slot(): Promise<(() => void) | undefined> {
  for (let number = 1; number <= SLOTS; number++) {
    const taken = await new Promise<(() => void) | undefined>((resolve) => {
      void navigator.locks.request(`tailrace slot ${number}`, { ifAvailable: true }, (lock) => {
        if (!lock) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      });
    });
    if (taken) return taken;
  }
  return undefined;
}
