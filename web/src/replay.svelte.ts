/*
The past, played: a stream whose records come in the order and at the pace of their time, times `speed`. A pause closes
the stream and keeps its token; going on, and another speed, open it again there. Another moment begins anew. When the
clock has come to now the stream is live: the feed goes on with a tail.
*/
import type { Frame, Start } from "./frames";
import { type Listener, Stream } from "./stream";
import { replays } from "./transport";

export type Speed = 1 | 10 | 100 | 1000 | "max";
export const SPEEDS: Speed[] = [1, 10, 100, 1000, "max"];

export class Replay {
  speed = $state<Speed>(1);
  playing = $state(true);
  /** The moment that is shown, in milliseconds, as the server said last. */
  clock = $state(0);
  /** When it was said. */
  saidAt = $state(0);
  /** All of it was played. */
  over = $state(false);
  readonly from: number;
  /** 0: it goes on into live. */
  readonly to: number;
  #query = "";
  #start: Start;
  #stream: Stream | undefined;
  #listener: Listener | undefined;

  constructor(from: number, to: number) {
    this.from = this.clock = from;
    this.to = to;
    this.#start = this.#at(from);
  }

  /** Play from where the clock stands. */
  open(query: string, listener: Listener): void {
    this.#query = query;
    this.#listener = listener;
    this.seek(this.clock);
  }

  close(): void {
    this.#stream?.close();
    this.#stream = undefined;
  }

  seek(at: number): void {
    this.clock = at;
    this.#start = this.#at(at);
    this.playing = true;
    this.#play();
  }

  /** Play behind a frame that came before. */
  goOn(token: string): void {
    this.#start = { after: token };
    this.playing = true;
    this.#play();
  }

  pause(): void {
    this.#keep();
    this.playing = false;
    this.#listener?.connection("off");
  }

  go(): void {
    if (this.over) {
      this.seek(this.from);
      return;
    }
    this.playing = true;
    this.#play();
  }

  faster(speed: Speed): void {
    this.speed = speed;
    if (!this.playing) return;
    this.#keep();
    this.#play();
  }

  #at(at: number): Start {
    const from = new Date(at).toISOString();
    return this.to ? { from, to: new Date(this.to).toISOString() } : { from };
  }

  /** Close the stream, to go on behind what came. */
  #keep(): void {
    if (this.#stream?.position) this.#start = { after: this.#stream.position };
    this.close();
  }

  #play(): void {
    const listener = this.#listener;
    if (!listener) return;
    this.close();
    this.over = false;
    this.saidAt = 0;
    this.#stream = new Stream(
      { q: this.#query, speed: this.speed },
      this.#start,
      {
        frame: (frame, from) => {
          this.#tell(frame);
          listener.frame(frame, from);
        },
        connection: (state, why) => {
          if (state === "off") {
            this.over = true;
            this.playing = false;
          }
          listener.connection(state, why);
        },
      },
      replays,
    );
  }

  #tell(frame: Frame): void {
    if (frame.event !== "ping" || !frame.clock) return;
    this.clock = Date.parse(frame.clock);
    this.saidAt = Date.now();
  }
}
