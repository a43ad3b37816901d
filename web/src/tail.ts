/*
The live stream: server-sent events, resumed by checkpoint. The browser reconnects by itself after a cut (with the id
of the last event it saw); where it gives up (an answer that is no stream), this tries again from the last checkpoint,
later and later. So a cut loses nothing and doubles nothing.
*/
import { address } from "./client";
import type { Gap, LogRecord, Ping } from "./types";

export type Connection = "off" | "connecting" | "open" | "lost";

export interface Listener {
  rows(records: LogRecord[], checkpoint: string): void;
  gap(gap: Gap, checkpoint: string): void;
  ping(ping: Ping): void;
  connection(state: Connection, why?: string): void;
}

export interface Start {
  query: string;
  /** Go on behind this checkpoint ... */
  after?: string;
  /** ... or begin with so many of the newest records. */
  last?: number;
}

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 15_000;

export class Tail {
  #listener: Listener;
  #query: string;
  #after: string;
  #last: number | undefined;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS_MIN;

  constructor(start: Start, listener: Listener) {
    this.#listener = listener;
    this.#query = start.query;
    this.#after = start.after ?? "";
    this.#last = start.last;
    this.#open();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#listener.connection("off");
  }

  #open(): void {
    this.#listener.connection("connecting");
    const from = this.#after ? { after: this.#after } : { last: this.#last };
    const source = new EventSource(address("tail", { q: this.#query, ...from }));
    this.#source = source;
    const seen = (event: MessageEvent) => {
      if (event.lastEventId) this.#after = event.lastEventId;
      this.#retryMs = RETRY_MS_MIN;
      return JSON.parse(event.data);
    };
    source.onopen = () => this.#listener.connection("open");
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) this.#listener.connection("lost");
      else this.#again();
    };
    source.addEventListener("rows", (event) => {
      const { records } = seen(event);
      this.#listener.rows(records, this.#after);
    });
    source.addEventListener("gap", (event) => {
      const gap: Gap = seen(event);
      this.#listener.gap(gap, this.#after);
    });
    source.addEventListener("ping", (event) => {
      const ping: Ping = seen(event);
      this.#after = ping.checkpoint || this.#after;
      this.#listener.ping(ping);
    });
    source.addEventListener("end", (event) => {
      source.close();
      this.#again(seen(event).why);
    });
  }

  #again(why?: string): void {
    this.#listener.connection("lost", why);
    this.#retry = setTimeout(() => this.#open(), this.#retryMs);
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
  }
}
