/*
Three ways to the same frames. Server-sent events are the first choice; a WebSocket does not count among the six
connections that a browser has for a server without HTTP/2; the long-poll goes through every proxy.

A connection says `open`, then brings frames, and may say `failed` once: then it is over, and nothing follows.
*/
import { address, CallError, refusal } from "./client";
import { behind, type Frame, type Opening, poll } from "./frames";
import type { Problem } from "./types";

export interface Receiver {
  open(): void;
  /** `position` is the one behind the frame. */
  frame(frame: Frame, position: string): void;
  failed(problem?: Problem): void;
}

/** Opens a connection; what it returns closes it without a word. */
export type Transport = (opening: Opening, receiver: Receiver) => () => void;

/** The first answer comes soon, to show that there is one. */
const POLL_FIRST_S = 1;
const POLL_S = 20;
const EVENTS = ["rows", "gap", "ping", "progress", "end"];

const listen = (call: string, opening: Opening, receiver: Receiver) => {
  const source = new EventSource(address(call, opening));
  source.onopen = () => receiver.open();
  // The browser would connect again by itself, but not with what other transports brought.
  source.onerror = () => {
    source.close();
    receiver.failed();
  };
  for (const event of EVENTS) {
    source.addEventListener(event, ({ data, lastEventId }) => {
      receiver.frame({ event, ...JSON.parse(data) }, lastEventId);
    });
  }
  return () => source.close();
};

export const events: Transport = (opening, receiver) => listen("tail", opening, receiver);
export const replays: Transport = (opening, receiver) => listen("replay", opening, receiver);

/** Messages of a topic. EventSource does not say why it was refused; asking once more does. */
export const topics: Transport = (opening, receiver) => {
  const cancel = new AbortController();
  let opened = false;
  const open = () => {
    opened = true;
    receiver.open();
  };
  const failed = async () => {
    const problem = opened ? undefined : await refusal("kafka/tail", opening, cancel.signal);
    if (!cancel.signal.aborted) receiver.failed(problem);
  };
  const close = listen("kafka/tail", opening, { ...receiver, open, failed });
  return () => {
    cancel.abort();
    close();
  };
};

export const socket: Transport = (opening, receiver) => {
  const target = new URL(address("tail/ws", opening), document.baseURI);
  target.protocol = target.protocol.replace("http", "ws");
  const connection = new WebSocket(target);
  connection.onopen = () => receiver.open();
  connection.onclose = () => receiver.failed();
  connection.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    receiver.frame(frame, behind(frame));
  };
  return () => {
    connection.onclose = null;
    connection.close();
  };
};

export const polls: Transport = (opening, receiver) => {
  const cancel = new AbortController();
  const ask = async () => {
    const { after: _, last: __, ...question } = opening;
    let from = opening;
    for (let wait = POLL_FIRST_S; ; wait = POLL_S) {
      const frames = await poll(from, wait, cancel.signal);
      receiver.open();
      for (const frame of frames) {
        if (cancel.signal.aborted) return;
        receiver.frame(frame, behind(frame));
        if (behind(frame)) from = { ...question, after: behind(frame) };
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
