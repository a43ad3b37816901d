/*
Messages of a topic, read once. Whatever cuts the stream, it goes on behind the newest frame, with what is left of the
limit; when the server says that it is done, nothing is opened again until a person goes on. A question that is refused
is not asked again.
*/
import type { Frame, Start } from "./frames";
import { type Listener, Stream } from "./stream";
import { asked, type Topic } from "./topic";
import { type Transport, topics } from "./transport";
import type { Problem, Progress } from "./types";

const NOTHING: Progress = { read: 0, bytes: 0, matched: 0, took_ms: 0, next: "" };

export class Reading {
  progress = $state.raw<Progress>(NOTHING);
  /** Why it is over, as the server says it. */
  why = $state("");
  #topic: Topic;
  #query: string;
  #listener: Listener;
  #refused: (problem: Problem) => void;
  #stream: Stream | undefined;
  /** What connections before this one had read: each counts from nothing. */
  #before = NOTHING;
  #left = 0;

  constructor(topic: Topic, query: string, listener: Listener, refused: (problem: Problem) => void) {
    this.#topic = topic;
    this.#query = query;
    this.#listener = listener;
    this.#refused = refused;
    this.#open({});
  }

  close(): void {
    this.#stream?.close();
  }

  /** Read no further, until a person goes on. */
  cancel(): void {
    this.close();
    this.#listener.connection("off");
  }

  /** Go on behind a frame, or behind the newest. */
  goOn(after = this.#stream?.position): void {
    this.close();
    this.#open(after ? { after } : {});
  }

  #open(start: Start): void {
    this.why = "";
    this.#left = this.#topic.limit;
    const question = { ...asked(this.#topic), q: this.#query };
    const { frame, connection } = this.#listener;
    const tell = (one: Frame, from: string) => {
      if (one.event === "progress") this.#tell(one);
      else frame(one, from);
    };
    this.#stream = new Stream(question, start, { frame: tell, connection }, this.#transport);
  }

  #transport: Transport = (opening, receiver) => {
    this.#before = this.progress;
    return topics(
      { ...opening, limit: this.#left },
      {
        open: receiver.open,
        frame: (frame, position) => {
          if (frame.event === "rows" && this.#left)
            this.#left = Math.max(1, this.#left - frame.records.length);
          if (frame.event === "end" && frame.done) this.why = frame.why;
          receiver.frame(frame, position);
        },
        failed: (problem) => {
          const { status = 0 } = problem ?? {};
          if (!problem || status < 400 || status >= 500 || status === 429) return receiver.failed(problem);
          this.cancel();
          this.#refused(problem);
        },
      },
    );
  };

  #tell(said: Progress): void {
    const { read, bytes, matched, took_ms } = this.#before;
    this.progress = {
      ...said,
      read: said.read + read,
      bytes: said.bytes + bytes,
      matched: said.matched + matched,
      took_ms: said.took_ms + took_ms,
      total: said.total == null ? null : said.total + read,
    };
  }
}
