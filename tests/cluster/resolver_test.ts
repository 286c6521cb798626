/** Following registries, in virtual time, with registries of which a test says what they say. */
import { assert, assertEquals } from "@std/assert";
import { RpcError } from "@erpc/erpc";
import type { Difference } from "../../src/cluster/merged_set.ts";
import { Resolver } from "../../src/cluster/resolver.ts";
import type { Source } from "../../src/cluster/source.ts";
import type { Logger } from "../../src/core/logger.ts";
import type { Cursor, WatchEvent, WatchOptions } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";

/** A registry that a test speaks for. Notes when it is asked, after which place, and what was acknowledged. */
class Speaker implements Source {
  readonly name: string;
  readonly asked: { at: number; after: Cursor | undefined }[] = [];
  acknowledged = 0;
  readonly #now: () => number;
  #queue: (WatchEvent | Error | "end")[] = [];
  #wake = () => {};

  constructor(name: string, now: () => number) {
    this.name = name;
    this.#now = now;
  }

  say(...what: (WatchEvent | Error | "end")[]): void {
    this.#queue.push(...what);
    this.#wake();
  }

  async *watch(_service: string, { signal, after }: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    this.asked.push({ at: this.#now(), after });
    signal?.addEventListener("abort", () => this.#wake());
    while (!signal?.aborted) {
      const next = this.#queue.shift();
      if (next === undefined) await new Promise<void>((resolve) => this.#wake = resolve);
      else if (next === "end") return;
      else if (next instanceof Error) throw next;
      else {
        yield next;
        this.acknowledged++;
      }
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function scene(names: string[]) {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  const sources = names.map((name) => new Speaker(name, () => clock.now()));
  const logged: string[] = [];
  const note = (level: string) => (text: string) => void logged.push(`${level}: ${text}`);
  const logger: Logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
  const differences: string[] = [];
  const onDifference = ({ put, removed }: Difference) => {
    const words = [...put.map(({ instance }) => `+${instance.id}`), ...removed.map((id) => `-${id}`)];
    if (words.length > 0) differences.push(words.join(" "));
  };
  const resolver = new Resolver("demo.Words", { sources, platform, logger, onDifference });
  return {
    clock,
    sources,
    resolver,
    logged,
    differences,
    known: () => [...resolver.resolved.keys()].sort().join(),
    async [Symbol.asyncDispose]() {
      await resolver.close();
      assertEquals(clock.timerCount, 0);
    },
  };
}

const snapshot = (revision: number, ...ids: string[]): WatchEvent => ({
  kind: "snapshot",
  epoch: "e",
  revision,
  instances: ids.map((id) => instanceOf(id)),
  warming: false,
});
const put = (revision: number, id: string): WatchEvent => ({
  kind: "changes",
  epoch: "e",
  revision,
  changes: [{ kind: "put", instance: instanceOf(id) }],
});

Deno.test("a resolver acknowledges an event when it has acted on it, and not before", async () => {
  await using s = scene(["x"]);
  s.sources[0].say(snapshot(1, "a"));
  await s.clock.settle();
  assertEquals([s.known(), s.sources[0].acknowledged], ["a", 1]);
});

Deno.test("X11 a resolver that loses a registry resumes behind what it heard last, and keeps what it knows meanwhile", async () => {
  await using s = scene(["x"]);
  const [x] = s.sources;
  x.say(snapshot(7, "a"), put(9, "b"), new RpcError("unavailable", "gone"));
  await s.clock.settle();
  assertEquals([s.known(), s.resolver.watching], ["a,b", false]);
  await s.clock.advance(200);
  assertEquals(x.asked.at(-1), { at: x.asked[1].at, after: { epoch: "e", revision: 9 } });
  x.say({
    kind: "changes",
    epoch: "e",
    revision: 10,
    changes: [{ kind: "removed", instanceId: "a", cause: "expired" }],
  });
  await s.clock.settle();
  assertEquals([s.known(), s.resolver.watching, s.resolver.staleMs], ["b", true, 0]);
  x.say(new RpcError("unavailable", "gone again"));
  await s.clock.advance(200);
  x.say(snapshot(20, "b", "c"));
  await s.clock.settle();
  assertEquals(s.differences, ["+a", "+b", "-a", "+c"], "a snapshot is compared with what is known");
});

Deno.test("a resolver asks a registry that fails again, at most every half minute, and says once that it can't follow it", async () => {
  await using s = scene(["x"]);
  const [x] = s.sources;
  for (let i = 0; i < 1_000; i++) x.say(new RpcError("unavailable", `attempt ${i}`));
  await s.clock.advance(600_000);
  assert(x.asked.length > 25 && x.asked.length < 150, `${x.asked.length}`);
  assertEquals(s.logged.filter((line) => line.startsWith("warn")).length, 1);
  assertEquals([s.resolver.isKnown, s.resolver.staleMs], [true, Infinity]);
  assert(/attempt \d+/.test(s.resolver.sources[0].error!));
});

Deno.test("a resolver waits as long as a registry asks it to", async () => {
  await using s = scene(["x"]);
  const [x] = s.sources;
  x.say(new RpcError("resource_exhausted", "too many", { retryAfterMs: 45_000 }));
  await s.clock.advance(44_990);
  assertEquals(x.asked.length, 1);
  await s.clock.advance(20);
  assertEquals(x.asked.length, 2);
});

Deno.test("a resolver begins with short pauses again once it has heard something", async () => {
  await using s = scene(["x"]);
  const [x] = s.sources;
  for (let i = 0; i < 40; i++) x.say(new RpcError("unavailable", "not yet"));
  await s.clock.advance(1_200_000);
  x.say(snapshot(1, "a"), new RpcError("unavailable", "gone"));
  await s.clock.advance(30_000);
  const before = x.asked.length;
  x.say(new RpcError("unavailable", "gone"));
  await s.clock.advance(400);
  assert(x.asked.length > before, "it waits for long after it was heard");
});

Deno.test("seed defect: an empty list panics: what a registry must not say, or an end without a reason, costs its watch and nothing else", async () => {
  const nonsense = [
    "end",
    { kind: "snapshot", epoch: "e", revision: 1, warming: false },
    { kind: "snapshot", epoch: "e", revision: 1, instances: [null], warming: false },
    { kind: "snapshot", epoch: "e", revision: 1, instances: [{ id: "a" }], warming: false },
    { kind: "changes", epoch: "e", revision: 1 },
    { kind: "changes", epoch: "e", revision: 1, changes: [{ kind: "put" }] },
    { kind: "changes", epoch: "e", revision: 1, changes: [{ kind: "removed", instanceId: "a" }, null] },
    { kind: "changes", epoch: "e", revision: 1, changes: [{ kind: "what?" }] },
    { kind: "what?", epoch: "e", revision: 1 },
    null,
    undefined,
  ] as ("end" | WatchEvent)[];
  for (const wrong of nonsense) {
    await using s = scene(["x", "y"]);
    s.sources[1].say(snapshot(1, "b"));
    s.sources[0].say(snapshot(1, "a"));
    await s.clock.settle();
    s.sources[0].say(wrong);
    await s.clock.advance(400);
    assertEquals(s.known(), "a,b", JSON.stringify(wrong));
    s.sources[0].say(snapshot(3, "c"));
    await s.clock.advance(10_000);
    assertEquals(s.known(), "b,c", JSON.stringify(wrong));
  }
});

Deno.test("a resolver knows who there is when every registry has spoken or failed, and not before", async () => {
  await using s = scene(["x", "y", "z"]);
  const [x, y, z] = s.sources;
  await s.clock.settle();
  assertEquals(s.resolver.isKnown, false);
  x.say(new RpcError("unavailable", "gone"));
  y.say(snapshot(1));
  await s.clock.settle();
  assertEquals(s.resolver.isKnown, false);
  z.say(snapshot(1));
  await s.clock.settle();
  assertEquals(s.resolver.isKnown, true);
  assertEquals(s.resolver.failure, undefined);
});

Deno.test("X11 a resolver says of each registry how well it can be heard", async () => {
  await using s = scene(["x", "y"]);
  const [x, y] = s.sources;
  x.say({ kind: "snapshot", epoch: "e", revision: 1, instances: [instanceOf("a")], warming: true });
  y.say(snapshot(1, "a", "b"));
  await s.clock.advance(5_000);
  y.say(new RpcError("unavailable", "gone"));
  await s.clock.advance(7_000);
  assertEquals(s.resolver.sources, [
    { name: "x", watching: true, warming: true, staleMs: 0, instances: 1, error: undefined },
    { name: "y", watching: false, warming: false, staleMs: 7_000, instances: 2, error: "gone" },
  ]);
  assertEquals([s.resolver.staleMs, s.resolver.watching, s.resolver.warming], [0, true, true]);
});
