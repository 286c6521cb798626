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
function wrongWith(...happened: readonly [at: number, life: string, happening: Happening][]): string[] {
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
