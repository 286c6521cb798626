/** Invariants 5 and 6: what streams carry, and how far a sender gets ahead of its reader. */
import type { CallStory, Checker, Problem, RunStory } from "./checker.ts";
import { nameOf } from "./checker.ts";

/** 5: what is received is a beginning of what was sent, unchanged; a stream that ends well was received whole. */
export const streams: Checker = (story) => {
  const problems: Problem[] = [];
  if (story.begin.corrupts) return problems;
  const add = (seen: string, at: number) => void problems.push({ invariant: "5 streams", seen, at });
  for (const one of story.calls.values()) {
    const { call, items, settled: [settled], runs, sent } = one;
    const badItem = items.find((item, n) => !item.good || item.seq !== n);
    if (badItem !== undefined) {
      add(
        `${nameOf(one)} got reply ${badItem.seq} as number ${items.indexOf(badItem)}, good: ${badItem.good}`,
        badItem.at,
      );
    }
    for (const { enter, took, tookAll } of runs) {
      const badTook = took.find((record, n) => !record.good || record.seq !== n);
      if (badTook !== undefined) {
        add(
          `run ${enter.run} of ${nameOf(one)} got request ${badTook.seq} as number ${took.indexOf(badTook)}`,
          badTook.at,
        );
      }
      const streamed = call.method === "up" || call.method === "both";
      if (streamed && took.length > sent.length && !story.isLost(call)) {
        add(`run ${enter.run} of ${nameOf(one)} got ${took.length} requests of ${sent.length}`, enter.at);
      }
      if (tookAll !== undefined && streamed && (one.sentAll === undefined || took.length !== sent.length)) {
        add(
          `run ${enter.run} of ${nameOf(one)} saw the end after ${took.length} of ${sent.length} requests`,
          tookAll.at,
        );
      }
    }
    if (settled?.outcome !== "ok") continue;
    if (call.method === "down" || call.method === "downAgain" || call.method === "both") {
      const whole = runs.some((run) => isDone(run) && run.gave.length === items.length);
      if (!whole) add(`${nameOf(one)} ended well with ${items.length} replies, ${gaveOf(one)}`, settled.at);
    }
    if (call.method === "up") {
      const whole = runs.some((run) => isDone(run) && run.took.length === settled.count);
      if (!whole) add(`${nameOf(one)} was answered for ${settled.count} requests`, settled.at);
    }
    if ((call.method === "once" || call.method === "again") && items.length !== 1) {
      add(`${nameOf(one)} ended well with ${items.length} replies`, settled.at);
    }
  }
  return problems;
};

/**
 * 6: a sender is never further ahead of its reader than the window and what must be: a message that the reader's side holds in
 * part, one that waits at the sender, and one that was made meanwhile.
 */
export const backpressure: Checker = (story) => {
  const problems: Problem[] = [];
  const { windowBytes, corrupts } = story.begin;
  if (corrupts) return problems;
  const aheads = new Map<string, number>();
  const told = new Set<string>();
  const left = new Set<string>();
  const move = (key: string, bytes: number) => {
    const ahead = (aheads.get(key) ?? 0) + bytes;
    aheads.set(key, ahead);
    return ahead;
  };
  const look = (ahead: number, window: number, id: string, who: string, at: number) => {
    const one = story.calls.get(id);
    if (one === undefined || told.has(id)) return;
    const allowed = window + 3 * one.call.messageBytes;
    if (ahead <= allowed) return;
    told.add(id);
    problems.push({
      invariant: "6 back-pressure",
      seen: `${who} of ${nameOf(one)} is ${ahead} bytes ahead of ${allowed}`,
      at,
    });
  };
  for (const record of story.records) {
    switch (record.what) {
      case "gave":
        look(
          move(`gave ${record.run}`, record.bytes) - read(record.id),
          windowBytes.client,
          record.id,
          record.run,
          record.at,
        );
        break;
      case "item":
        move(`item ${record.id}`, record.bytes);
        break;
      case "sent":
        if (left.has(record.id)) break;
        look(move(`sent ${record.id}`, record.bytes), windowBytes.server, record.id, "the caller", record.at);
        break;
      case "took":
        move(`sent ${record.id}`, -record.bytes);
        break;
      case "had enough":
      case "leave":
        // What a handler does not read costs it nothing, and may go on coming.
        left.add(record.id);
        break;
    }
  }
  return problems;

  function read(id: string): number {
    return aheads.get(`item ${id}`) ?? 0;
  }
};

function isDone({ leaves: [leave] }: RunStory): boolean {
  return leave?.how === "done" || leave?.how === "cut";
}

function gaveOf({ runs }: CallStory): string {
  return runs.map(({ enter, gave, leaves }) =>
    `run ${enter.run} gave ${gave.length} and ${leaves[0]?.how ?? "goes on"}`
  ).join();
}
