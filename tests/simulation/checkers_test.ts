/** What checkers excuse, and what they do not: histories made by hand, each of them with one thing in it that decides. */
import { assertEquals } from "@std/assert";
import { check } from "./checkers/mod.ts";
import type { Begin, Happening, HistoryRecord } from "./history.ts";

const BEGIN: Omit<Begin, "at" | "node" | "life"> = {
  what: "begin",
  slackMs: 20,
  corrupts: false,
  sheds: false,
  servers: 1,
  maxStreams: 256,
  windowBytes: { server: 65_536, client: 65_536 },
};

/** What is wrong with a run in which that happened: when, in which life of which node, and what. */
function wrongWith(...happened: (readonly [at: number, life: string, happening: Happening])[]): string[] {
  const records = happened.map(([at, name, happening]): HistoryRecord => {
    const [node, life] = name.split("/");
    return { at, node, life: Number(life), ...happening } as HistoryRecord;
  });
  const nobody = { node: "", life: 0 };
  const history: HistoryRecord[] = [
    { at: 0, ...nobody, ...BEGIN },
    ...records,
    { at: 1_000_000, ...nobody, what: "end" },
  ];
  return check(history).map(({ invariant, seen }) => `${invariant}: ${seen}`);
}

const call = (method: string, timeoutMs: number): Happening => ({
  what: "call",
  id: "c0.1",
  method,
  idempotent: false,
  replayed: true,
  timeoutMs,
  maxAttempts: 1,
  messageBytes: 100,
});
const settled = (outcome: "ok" | "deadline_exceeded", askedAt?: number): Happening => ({
  what: "settled",
  id: "c0.1",
  outcome,
  ...(askedAt === undefined ? {} : { askedAt }),
});

Deno.test("checkers: a machine that was slow when its program crashed is slow in the next life, until it is quick again", () => {
  const late = (quickAt: number) =>
    wrongWith(
      [100, "client1/1", { what: "slow" }],
      [200, "client1/1", { what: "crash" }],
      [quickAt, "client1/2", { what: "fast" }],
      [300, "client1/2", call("up", 50)],
      [410, "client1/2", settled("deadline_exceeded")],
    );
  assertEquals(late(500), []);
  assertEquals(late(250), ["2 deadline: c0.1 (up, from client1) ended 60 ms after its deadline"]);
});

Deno.test("checkers: a machine that stood still when its program crashed does not in the next life", () => {
  const wrong = wrongWith(
    [100, "client1/1", { what: "pause" }],
    [200, "client1/1", { what: "crash" }],
    [300, "client1/2", call("up", 50)],
    [410, "client1/2", settled("deadline_exceeded")],
  );
  assertEquals(wrong, ["2 deadline: c0.1 (up, from client1) ended 60 ms after its deadline"]);
});

Deno.test("checkers: a lease lasts its time and as much more as its registry was late, which is what it stood still beyond a second", () => {
  const offAt = (at: number, ...still: readonly [from: number, to: number][]) =>
    wrongWith(
      [0, "center1/1", { what: "listing", afresh: true, epoch: "e", revision: 0, changes: [] }],
      [100, "center1/1", { what: "lease", instance: "a", token: "t", ttlMs: 5_000 }],
      [100, "center1/1", { what: "listing", afresh: false, epoch: "e", revision: 1, changes: [{ id: "a" }] }],
      ...still.flatMap(([from, to]) => [
        [from, "center1/1", { what: "pause" }] as const,
        [to, "center1/1", { what: "resume" }] as const,
      ]),
      [at, "center1/1", {
        what: "listing",
        afresh: false,
        epoch: "e",
        revision: 2,
        changes: [{ id: "a", cause: "expired" }],
      }],
    );
  const early = (leftMs: number, lateMs: number) => [
    `9 lease: center1 took a off with ${leftMs} of 5000 ms left, having been ${lateMs} ms late`,
  ];
  assertEquals(offAt(5_100), []);
  assertEquals(offAt(5_090), early(10, 0));
  // It may have looked when that was over, and found nothing amiss.
  assertEquals(offAt(5_100, [2_000, 2_900]), []);
  assertEquals(offAt(5_090, [2_000, 2_900]), early(10, 0));
  // It wanted to look at 3 000 at the latest.
  assertEquals(offAt(7_100, [2_000, 5_000]), []);
  assertEquals(offAt(7_090, [2_000, 5_000]), early(10, 2_000));
  assertEquals(offAt(7_590, [1_000, 2_500], [3_000, 6_000]), early(10, 2_500));
  // Nor for much longer than that.
  assertEquals(offAt(9_600, [2_000, 5_000]), []);
  assertEquals(offAt(9_700, [2_000, 5_000]), ["10 lease: center1 listed a for 1600 ms after its lease was over"]);
});

Deno.test("checkers: what was answered before its caller could notice the deadline may be read at leisure, and nothing else", () => {
  const run = { id: "c0.1", run: "server1/1/1" };
  const answeredAt = (at: number) =>
    wrongWith(
      [0, "client1/1", call("down", 100)],
      [50, "client1/1", { what: "pause" }],
      // The request was on its way for a long time.
      [450, "server1/1", { what: "enter", ...run, connection: "c", attempt: 0, remainingMs: 100 }],
      [500, "server1/1", { what: "gave", ...run, seq: 0, bytes: 10 }],
      [500, "server1/1", { what: "gave", ...run, seq: 1, bytes: 10 }],
      ...(at < 1_000 ? [[at, "server1/1", { what: "leave", ...run, how: "done" }] as const] : []),
      [1_000, "client1/1", { what: "resume" }],
      [1_000, "client1/1", { what: "item", id: "c0.1", seq: 0, good: true, bytes: 10 }],
      ...(at < 1_000 ? [] : [[at, "server1/1", { what: "leave", ...run, how: "done" }] as const]),
      [1_100, "client1/1", { what: "item", id: "c0.1", seq: 1, good: true, bytes: 10 }],
      [1_200, "client1/1", settled("ok", 1_200)],
    );
  assertEquals(answeredAt(510), []);
  const wrong = answeredAt(1_030).filter((text) => text.startsWith("2 deadline: c0.1"));
  assertEquals(wrong, ["2 deadline: c0.1 (down, from client1) got reply 1 after its deadline"]);
});
