/*
Three ways to the same frames. Server-sent events are the first choice; a WebSocket does not count among the six
connections that a browser has for a server without HTTP/2; the long-poll goes through every proxy.

A connection says `open`, then brings frames, and may say `failed` once: then it is over, and nothing follows.
*/
import { address, CallError } from "./client";
import { behind, type Frame, poll, type Question, type Start } from "./frames";
import type { Problem } from "./types";

export interface Receiver {
  open(): void;
  frame(frame: Frame): void;
  failed(problem?: Problem): void;
}

/** Opens a connection; what it returns closes it without a word. */
export type Transport = (question: Question, start: Start, receiver: Receiver) => () => void;

/** The first answer comes soon, to show that there is one. */
const POLL_FIRST_S = 1;
const POLL_S = 20;
const EVENTS = ["rows", "gap", "ping", "end"];

export const events: Transport = (question, start, receiver) => {
  const source = new EventSource(address("tail", { ...question, ...start }));
  source.onopen = () => receiver.open();
  // The browser would connect again by itself, but not with what other transports brought.
  source.onerror = () => {
    source.close();
    receiver.failed();
  };
  for (const event of EVENTS) {
    source.addEventListener(event, ({ data }) => receiver.frame({ event, ...JSON.parse(data) }));
  }
  return () => source.close();
};

export const socket: Transport = (question, start, receiver) => {
  const target = new URL(address("tail/ws", { ...question, ...start }), document.baseURI);
  target.protocol = target.protocol.replace("http", "ws");
  const connection = new WebSocket(target);
  connection.onopen = () => receiver.open();
  connection.onclose = () => receiver.failed();
  connection.onmessage = ({ data }) => receiver.frame(JSON.parse(data));
  return () => {
    connection.onclose = null;
    connection.close();
  };
};

export const polls: Transport = (question, start, receiver) => {
  const cancel = new AbortController();
  const ask = async () => {
    let from = start;
    for (let wait = POLL_FIRST_S; ; wait = POLL_S) {
      const frames = await poll(question, from, wait, cancel.signal);
      receiver.open();
      for (const frame of frames) {
        if (cancel.signal.aborted) return;
        receiver.frame(frame);
        if (behind(frame)) from = { after: behind(frame) };
      }
    }
  };
  ask().catch((error) => {
    if (cancel.signal.aborted) return;
    if (!(error instanceof CallError)) throw error;
    receiver.failed(error.problem);
  });
  return () => cancel.abort();
};
