/** The gate of a real server, over connections in memory and in virtual time. */
import { assert, assertEquals } from "@std/assert";
import { bidi, Client, oneway, type RpcError, Server, serverStream, service, unary } from "@erpc/erpc";
import { type AdmissionOptions, Health } from "../../src/extend.ts";
import { Gate } from "../../src/admission/gate.ts";
import { DEFAULT_ADMISSION } from "../../src/admission/options.ts";
import { Timers } from "../../src/core/timers.ts";
import { readReset } from "../../src/protocol/control.ts";
import { Flag, Kind } from "../../src/protocol/frame.ts";
import { readStatus, Status } from "../../src/protocol/status.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/core/limits.ts";
import { processMemory } from "../../src/transport/memory.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { frame, openFrame, readerOf, ScriptedPeer } from "../support/scripted_peer.ts";

const Work = service("test.Work", {
  hold: unary<string, string>(),
  swallow: unary<string, number>(),
  count: serverStream<number, number>(),
  talk: bidi<string, string>(),
  note: oneway<string>(),
});

interface Stage {
  readonly server: Server;
  readonly client: Client;
  readonly clock: VirtualClock;
  /** Calls of `hold` that run, in the order in which they began. */
  readonly held: Map<string, () => void>;
  /** What handlers have begun. */
  readonly begun: string[];
  /** Another client of the same server. */
  another(options?: { id?: string; criticality?: "sheddable" | "critical" }): Client;
  dial(): ScriptedPeer;
}

let stages = 0;

function scene(
  name: string,
  admission: AdmissionOptions | false | undefined,
  play: (stage: Stage) => Promise<void>,
  limits?: Partial<Limits>,
): void {
  Deno.test(name, async () => {
    const platform = virtualPlatform(1);
    const { clock } = platform;
    await using stack = new AsyncDisposableStack();
    const server = stack.use(new Server({ platform, admission, limits }));
    const held = new Map<string, () => void>();
    const begun: string[] = [];
    server.handle(Work, {
      hold(tag) {
        begun.push(tag);
        return new Promise((resolve) => held.set(tag, () => (held.delete(tag), resolve(tag))));
      },
      swallow: (text) => text.length,
      async *count(from) {
        begun.push(`count ${from}`);
        for (let n = from;; n++) yield n;
      },
      async *talk(texts) {
        begun.push("talk");
        for await (const text of texts) yield text.toUpperCase();
      },
      note: (tag) => void begun.push(tag),
    });
    const endpoint = `memory://gate-${++stages}`;
    await server.listen(endpoint);
    const another = (options = {}) =>
      stack.use(new Client({ endpoints: [endpoint], platform, retry: false, ...options }));
    const dial = () => new ScriptedPeer(processMemory.connect(endpoint.slice("memory://".length)));
    await play({ server, client: another(), clock, held, begun, another, dial });
    await clock.settle();
    for (const release of [...held.values()]) release();
  });
}

function failure(call: Promise<unknown>): Promise<RpcError> {
  return call.then((value) => {
    throw new Error(`It did not fail: ${value}`);
  }, (error) => error);
}

scene(
  "A call over the limit waits, and runs when a place is free",
  { limit: 1 },
  async ({ client, clock, held, begun, server }) => {
    const work = client.service(Work);
    const [first, second] = [work.hold("a"), work.hold("b")];
    await clock.settle();
    assertEquals(begun, ["a"]);
    const { running, waiting, limit, waited } = server.stats().admission!;
    assertEquals([running, waiting, limit, waited], [1, 1, 1, 1]);
    held.get("a")!();
    assertEquals(await first, "a");
    await clock.settle();
    assertEquals(begun, ["a", "b"]);
    held.get("b")!();
    assertEquals(await second, "b");
    assertEquals(server.stats().admission!.running, 0);
  },
);

scene(
  "A refused call says so, did not run, and is told when to come again",
  { limit: 1, maxWaiting: 1 },
  async ({ client, clock, begun, server }) => {
    const work = client.service(Work);
    void work.hold("a").catch(() => {});
    void work.hold("b").catch(() => {});
    const { code, executed, retryAfterMs, message } = await failure(work.hold("c"));
    assertEquals([code, executed], ["resource_exhausted", "no"]);
    assert(retryAfterMs! >= 100 && retryAfterMs! <= 2_000, `${retryAfterMs} ms`);
    assertEquals(message, "Cannot take the call: as many wait as may (admission.maxWaiting)");
    await clock.settle();
    assertEquals(begun, ["a"]);
    assertEquals(server.stats().admission!.refused.full, 1);
    assertEquals(server.stats().counters.callsRefused, 1);
  },
);

scene("A message is not decoded before its call runs", { limit: 1 }, async ({ client, clock, held, dial }) => {
  const first = client.service(Work).hold("a");
  await clock.settle();
  const peer = await dial().greet();
  await peer.send(openFrame(1, "test.Work/hold", "{ no JSON"));
  const end = peer.expect(Kind.end);
  assertEquals(await Promise.race([end, clock.advance(1_000).then(() => "nothing yet")]), "nothing yet");
  held.get("a")!();
  await first;
  const status = new Status();
  readStatus(readerOf(await end), status, DEFAULT_LIMITS);
  assertEquals(status.code, "invalid_argument");
  peer.close();
});

scene(
  "Health, reflection and the like pass, however many calls wait",
  { limit: 1, maxWaiting: 1 },
  async ({ client, clock, held }) => {
    const work = client.service(Work);
    for (const tag of ["a", "b", "c"]) void work.hold(tag).catch(() => {});
    await clock.settle();
    assertEquals(await client.service(Health).check({}), { status: "serving" });
    const watch = client.service(Health).watch({});
    assertEquals((await watch.next()).value, { status: "serving" });
    held.get("a")!();
    await clock.settle();
    assert(held.has("b"), "watching health takes no place");
    await watch.return?.();
  },
);

scene(
  "A stream holds its place until its handler has settled",
  { limit: 1 },
  async ({ client, clock, held, begun, server }) => {
    const work = client.service(Work);
    const numbers = work.count(7);
    assertEquals((await numbers.next()).value, 7);
    const call = work.hold("a");
    await clock.settle();
    assertEquals(begun, ["count 7"]);
    await numbers.return?.();
    await clock.settle();
    assertEquals(begun, ["count 7", "a"]);
    held.get("a")!();
    await call;
    assertEquals(server.stats().admission!.running, 0);
  },
);

scene("A stream of requests waits with what it has sent", { limit: 1 }, async ({ client, clock, held }) => {
  const work = client.service(Work);
  const call = work.hold("a");
  const replies = work.talk(["to", "be"]);
  const all = Array.fromAsync(replies);
  await clock.advance(1);
  held.get("a")!();
  await call;
  assertEquals(await all, ["TO", "BE"]);
});

scene(
  "A call that is cancelled while it waits never runs",
  { limit: 1 },
  async ({ client, clock, held, begun, server }) => {
    const work = client.service(Work);
    const call = work.hold("a");
    const cancel = new AbortController();
    const cancelled = failure(work.hold("b", { signal: cancel.signal }));
    await clock.settle();
    cancel.abort();
    assertEquals((await cancelled).code, "cancelled");
    await clock.settle();
    assertEquals([server.stats().admission!.waiting, server.stats().handlers], [0, 1]);
    held.get("a")!();
    await call;
    await clock.settle();
    assertEquals(begun, ["a"]);
  },
);

scene(
  "A call that waits is refused when half of its time is over",
  { limit: 1, targetMs: Infinity },
  async ({ client, clock, begun, server }) => {
    const work = client.service(Work);
    void work.hold("a").catch(() => {});
    let after = 0;
    const refused = failure(work.hold("b", { timeoutMs: 1_000 })).then((error) => (after = clock.now(), error));
    await clock.advance(600);
    const { code, executed } = await refused;
    assertEquals([code, executed], ["resource_exhausted", "no"]);
    assert(after >= 500 && after <= 520, `after ${after} ms`);
    assertEquals(begun, ["a"]);
    assertEquals(server.stats().admission!.refused.tooLate, 1);
  },
);

scene(
  "A one-way call that is refused is counted",
  { limit: 1, maxWaiting: 1 },
  async ({ client, clock, begun, server }) => {
    const work = client.service(Work);
    for (const tag of ["a", "b"]) void work.hold(tag).catch(() => {});
    await work.note("c");
    await clock.settle();
    assertEquals(begun, ["a"]);
    assertEquals(server.stats().counters.onewaysDropped, 1);
  },
);

scene(
  "The loss of a connection takes its waiting calls out",
  { limit: 1 },
  async ({ another, client, clock, held, begun, server }) => {
    const call = client.service(Work).hold("a");
    const gone = another();
    const lost = ["b", "c", "d"].map((tag) => failure(gone.service(Work).hold(tag)));
    await clock.settle();
    assertEquals(server.stats().admission!.waiting, 3);
    await gone.close();
    await Promise.all(lost);
    await clock.settle();
    assertEquals(server.stats().admission!.waiting, 0);
    held.get("a")!();
    await call;
    await clock.settle();
    assertEquals(begun, ["a"]);
  },
);

scene(
  "A large message that waits is paid back, whether its call runs or not",
  { limit: 1, maxWaiting: 4 },
  async ({ client, clock, held }) => {
    const work = client.service(Work);
    const text = "x".repeat(300_000);
    for (let round = 0; round < 6; round++) {
      const call = work.hold("a");
      await clock.settle();
      const calls = Array.from({ length: 6 }, () => work.swallow(text).catch((error) => error.code));
      await clock.settle();
      held.get("a")!();
      await call;
      const became = await Promise.all(calls);
      assertEquals(became.filter((what) => what === text.length).length, 4, became.join(" "));
    }
    // All credit is there again: more than the connection's window in one go.
    assertEquals(await work.swallow("y".repeat(2_000_000)), 2_000_000);
  },
);

scene(
  "What a call brought that leaves while it waits is paid back",
  { limit: 1 },
  async ({ client, clock, held, server }) => {
    const work = client.service(Work);
    const call = work.hold("a", { timeoutMs: Infinity });
    await clock.settle();
    // All in all more than the connection lets a client send before anything is consumed.
    for (let round = 0; round < 400; round++) {
      const cancel = new AbortController();
      const left = failure(work.swallow("x".repeat(50_000), { signal: cancel.signal }));
      await clock.settle();
      assertEquals(server.stats().admission!.waiting, 1, `in round ${round}`);
      cancel.abort();
      await left;
      await clock.settle();
    }
    held.get("a")!();
    await call;
  },
);

scene("A drain lets calls that wait run", { limit: 1, targetMs: Infinity }, async ({ client, clock, held, server }) => {
  const work = client.service(Work);
  const calls = [work.hold("a"), work.hold("b")];
  await clock.settle();
  const drained = server.drain({ graceMs: 60_000 });
  await clock.advance(2_000);
  held.get("a")!();
  await clock.settle();
  held.get("b")!();
  assertEquals(await Promise.all(calls), ["a", "b"]);
  await clock.advance(10);
  assertEquals((await drained).complete, true);
});

scene(
  "A drain whose time is up cuts the call that runs, and gives back the one that waits",
  { limit: 1, targetMs: Infinity },
  async ({ client, clock, server }) => {
    const work = client.service(Work);
    const ends = [failure(work.hold("a")), failure(work.hold("b"))];
    await clock.settle();
    const drained = server.drain({ graceMs: 2_000 });
    await clock.advance(3_000);
    assertEquals((await Promise.all(ends)).map(({ code, executed }) => [code, executed]), [
      ["unavailable", "maybe"],
      ["unavailable", "no"],
    ]);
    const { complete, cutCalls } = await drained;
    assertEquals({ complete, cutCalls }, { complete: false, cutCalls: 1 });
  },
);

for (const answers of [true, false]) {
  scene(
    `A server that closes gives back a call that has not arrived whole, and waits until a caller that ${
      answers ? "answers" : "is silent"
    } knows, for a moment`,
    undefined,
    async ({ clock, server, dial }) => {
      const peer = await dial().greet();
      await peer.send(openFrame(1, "test.Work/swallow", '"begi', {}, Flag.more));
      await clock.settle();
      let isClosed = false;
      const closed = server.close().then(() => isClosed = true);
      const reset = await peer.expect(Kind.reset);
      assertEquals([reset.stream, readReset(readerOf(reset))], [1, undefined]);
      await peer.send(frame(Kind.data, 0, 1, 'n"'));
      const { payload } = await peer.expect(Kind.ping);
      await clock.advance(100);
      assertEquals(isClosed, false, "the rest of the call was on its way: closing could have taken the answer back");
      if (answers) await peer.send(frame(Kind.ping, Flag.ack, 0, payload));
      else await clock.advance(100);
      while (await peer.next() !== undefined);
      await closed;
      peer.close();
    },
  );
}

scene(
  "What matters more runs first, as its caller says",
  { limit: 1, targetMs: Infinity },
  async ({ client, another, clock, held, begun }) => {
    void client.service(Work).hold("a").catch(() => {});
    await clock.settle();
    const tags = ["sheddable", "default", "critical"] as const;
    for (const criticality of tags) {
      void another().service(Work).hold(criticality, { criticality }).catch(() => {});
      await clock.settle();
    }
    for (const tag of ["a", "critical", "default"]) {
      held.get(tag)!();
      await clock.settle();
    }
    assertEquals(begun, ["a", "critical", "default", "sheddable"]);
  },
);

scene(
  "Connections of one instance are one caller, and others have their turn beside it",
  { limit: 1, targetMs: Infinity },
  async ({ client, another, clock, held, begun }) => {
    void client.service(Work).hold("0").catch(() => {});
    await clock.settle();
    const greedy = [another({ id: "greedy" }), another({ id: "greedy" })];
    for (let i = 0; i < 4; i++) {
      void greedy[i % 2].service(Work).hold(`greedy ${i}`).catch(() => {});
      await clock.settle();
    }
    void another({ id: "modest" }).service(Work).hold("modest").catch(() => {});
    await clock.settle();
    for (let i = 0; i < 5; i++) {
      held.get(begun.at(-1)!)!();
      await clock.settle();
    }
    assertEquals(begun, ["0", "greedy 0", "modest", "greedy 1", "greedy 2", "greedy 3"]);
  },
);

scene(
  "A server without admission runs everything, and says nothing of its load",
  false,
  async ({ client, clock, begun, server, dial }) => {
    const work = client.service(Work);
    for (let i = 0; i < 200; i++) void work.hold(`${i}`).catch(() => {});
    await clock.settle();
    assertEquals(begun.length, 200);
    assertEquals(server.stats().admission, undefined);
    const peer = await dial().greet();
    await peer.send(openFrame(1, "test.Work/swallow", '"x"'));
    const status = new Status();
    readStatus(readerOf(await peer.expect(Kind.end)), status, DEFAULT_LIMITS);
    assertEquals(status.load, undefined);
    peer.close();
  },
);

scene(
  "A reply says how much there is to do, once in 100 ms on each connection",
  { limit: 8 },
  async ({ client, clock, dial, held }) => {
    const work = client.service(Work);
    for (const tag of ["a", "b"]) void work.hold(tag).catch(() => {});
    await clock.settle();
    const peer = await dial().greet();
    const loads: unknown[] = [];
    for (let call = 0; call < 4; call++) {
      await peer.send(openFrame(1 + call * 2, call === 0 ? "test.Work/swallow" : 0, '"x"'));
      const status = new Status();
      readStatus(readerOf(await peer.expect(Kind.end)), status, DEFAULT_LIMITS);
      loads.push(status.load);
      await clock.advance(50);
    }
    // The call that is answered runs itself.
    const load = { inFlight: 3, limit: 8, lagMs: 0 };
    assertEquals(loads, [load, undefined, load, undefined]);
    assertEquals(held.size, 2);
    peer.close();
  },
);

scene("A client that floods a server with calls it refuses, and reads nothing, is sent away", {
  limit: 1,
  maxWaiting: 1,
}, async ({ client, clock, dial }) => {
  void client.service(Work).hold("a").catch(() => {});
  void client.service(Work).hold("b").catch(() => {});
  await clock.settle();
  const peer = await dial().greet();
  let stream = 1;
  const open = (what: string | number) => openFrame((stream += 2) - 2, what, '"x"');
  await peer.send(open("test.Work/hold"));
  let sent = true;
  for (let i = 0; i < 200 && sent; i++) {
    const flood = peer.send(...Array.from({ length: 1_000 }, () => open(0))).then((whole) => void (sent = whole));
    await clock.advance(300);
    await flood;
  }
  assert(!sent, `${stream / 2} calls were taken`);
  peer.close();
});

scene("An idle server looks at nothing", undefined, async ({ client, clock, held }) => {
  const call = client.service(Work).hold("a", { timeoutMs: Infinity });
  await clock.advance(1_000);
  // A handler that runs for long is no reason to look at the loop either.
  const before = clock.timerCount;
  let fired = 0;
  while (clock.nextAt < 30_000) {
    fired++;
    await clock.advance(clock.nextAt - clock.now());
  }
  assert(fired < 100, `${fired} timers in 30 s`);
  assert(before < 10);
  held.get("a")!();
  await call;
});

Deno.test("A call that one server refuses goes to another at once, idempotent or not", async () => {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  await using stack = new AsyncDisposableStack();
  const release = Promise.withResolvers<void>();
  const servers = ["busy", "free"].map((id) => {
    const admission = id === "busy" ? { limit: 1, maxWaiting: 1 } : undefined;
    const server = stack.use(new Server({ platform, id, admission }));
    server.handle("test.who", () => id === "busy" ? release.promise.then(() => id) : id);
    return server;
  });
  for (const server of servers) await server.listen(`memory://${server.id}-${++stages}`);
  const hog = stack.use(new Client({ endpoints: [servers[0].endpoint], platform, retry: false }));
  const held = Promise.all([hog.call("test.who"), hog.call("test.who")]).catch((error) => error);
  await clock.settle();
  const client = stack.use(new Client({ endpoints: servers.map(({ endpoint }) => endpoint), platform }));
  for (let i = 0; i < 4; i++) assertEquals(await client.call("test.who"), "free");
  assertEquals(clock.now(), 0);
  assert(servers[0].stats().admission!.refused.full >= 2);
  release.resolve();
  assertEquals(await held, ["busy", "busy"]);
});

/** How many of 1 000 calls that came in one go had to wait; the nth of them took so long where it was read. */
function waiting(tookMs: (n: number) => number): number {
  const platform = virtualPlatform(1);
  let now = 0;
  const clock = { now: () => now, wall: () => now, timer: () => ({ [Symbol.dispose]() {} }) };
  using timers = new Timers(clock);
  const gate = new Gate(DEFAULT_ADMISSION, timers, { ...platform, clock });
  const caller = gate.connected({ endpoint: "", instance: "", zone: "", identity: undefined });
  let waited = 0;
  for (let n = 0; n < 1_000; n++) {
    if (gate.decide(caller, "test.Work/hold", "default", 10_000, 10, now) !== "run") {
      waited++;
      continue;
    }
    const pass = gate.begin();
    now += tookMs(n);
    gate.ran();
    gate.end(pass, "test.Work/hold", 0);
  }
  return waited;
}

Deno.test("A small call during which the machine did something else makes no others wait", () => {
  for (const stopMs of [1, 5, 12]) {
    // Wherever it falls among those that are timed.
    for (let at = 0; at < 64; at++) assertEquals(waiting((n) => n === 200 + at ? stopMs : 0.003), 0, `${stopMs} ${at}`);
  }
  assert(waiting(() => 0.003) === 0);
  assert(waiting(() => 1) > 900, "calls that do take a millisecond");
  assert(waiting((n) => n % 2 === 0 ? 4 : 0.003) > 900, "calls of which half take long");
});
