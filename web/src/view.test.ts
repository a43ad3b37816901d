import { expect, test } from "vitest";
import { TOPIC, TOPIC_COLUMNS } from "./topic";
import { fromAddress, START, toAddress, type View } from "./view";

test("an address gives back the view it was made of", () => {
  const views: View[] = [
    START,
    {
      ...START,
      query: 'a="b c" & d',
      live: false,
      replay: 1_763_625_600_000,
      order: "event",
      context: 5,
      patterns: true,
      wrap: true,
      utc: true,
      columns: ["host", "user.id"],
      find: "x y",
    },
    { ...START, range: { kind: "between", from: 1_763_625_600_123, to: 1_763_625_700_000 }, live: false },
    {
      ...START,
      range: { kind: "all" },
      live: false,
      cursor: "7f3a-1042",
      at: "2026-11-20T08:00:00.123456789Z",
      columns: [],
    },
    { ...START, agents: true, agent: "web-1.example" },
    { ...START, topic: { ...TOPIC, name: "" }, columns: TOPIC_COLUMNS },
    {
      ...START,
      query: "key:42",
      topic: {
        name: "orders",
        begin: "2026-11-20T08:00:00.000Z",
        until: "now",
        partitions: "0,3",
        decode: "hex",
        limit: 0,
      },
      live: false,
      columns: ["offset"],
    },
  ];
  for (const view of views) expect(fromAddress(toAddress(view))).toEqual(view);
});

test("an address that makes no sense gives the start", () => {
  expect(fromAddress("?range=soon&from=never&to=ever")).toEqual(START);
});
