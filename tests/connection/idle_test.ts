/** Connections on which little happens: how they are kept alive, and that this harms nobody. */
import { assert, assertEquals } from "@std/assert";
import { Client, Server, serverStream, service, unary } from "@erpc/erpc";
import { type LinkOptions, openFrame, ScriptedPeer, Simulation } from "@erpc/erpc/testing";
import { Watchdog, type Watched } from "../../src/connection/watchdog.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/core/limits.ts";
import { Timers } from "../../src/core/timers.ts";
import { SILENT_HELLO } from "../../src/protocol/hello.ts";

/** A client that has called a server once, and is idle for a while. Gives how many connections it took, and what was broken. */
async function idleFor(
  ms: number,
  { server, client, link }: {
    server?: Partial<Limits>;
    client?: Partial<Limits>;
    link?: LinkOptions;
  },
): Promise<{ opened: number; violations: number }> {
  const world = new Simulation({ link });
  return await world.run(async () => {
    const made = await world.node("server").start(async ({ platform, transport }) => {
      const made = new Server({ platform, transport, limits: server });
      made.handle("t/t", () => null);
      await made.listen("tcp://server:1");
      return made;
    });
    const caller = await world.node("client").start(({ platform, transport }) =>
      new Client({ endpoints: ["tcp://server:1"], platform, transport, limits: client })
    );
    await caller.call("t/t");
    await world.sleep(ms);
    const [here, there] = [caller.stats().counters, made.stats().counters];
    await world.stop();
    return {
      opened: here.connectionsOpened,
      violations: here.violations + there.violations,
    };
  });
}

Deno.test("idle connections are pinged no faster than their other side puts up with, whatever the limits are", async () => {
  const limits: Partial<Limits>[] = [{}, { idleKeepaliveMs: 1 }, { idleKeepaliveMs: 2_000, keepaliveMs: 1_000 }];
  for (const server of limits) {
    for (const client of limits) {
      const { opened, violations } = await idleFor(10 * 60_000, { server, client, link: { jitterMs: 100 } });
      assertEquals({ opened, violations }, { opened: 1, violations: 0 }, JSON.stringify({ server, client }));
    }
  }
});

Deno.test("a silent connection is asked for a sign of life when that is due, however the sum of times is rounded", () => {
  let rounded = 0;
  for (let n = 0; n < 1_000; n++) {
    const heardAt = 6_132.1 + n * 0.37;
    const now = heardAt + DEFAULT_LIMITS.keepaliveMs;
    if (now - heardAt < DEFAULT_LIMITS.keepaliveMs) rounded++;
    let asked = 0;
    using timers = new Timers({ now: () => now, wall: () => 0, timer: () => ({ [Symbol.dispose]() {} }) });
    const watched = {
      hello: SILENT_HELLO,
      outbox: { isEmpty: true, writing: false, progress: 0, data: { length: 0 } },
      sender: { stalledSince: () => [], waitingBytes: 0 },
      frames: { partialBytes: 0 },
      heardAt,
      hasCalls: true,
      hasPingLeft: true,
      askForLife: () => void asked++,
    } as unknown as Watched;
    const watchdog = new Watchdog(watched, DEFAULT_LIMITS, timers, heardAt);
    watchdog.onDue();
    // Due at once again, it would be looked at again and again before any time has passed.
    assertEquals({ asked, again: watchdog.dueAt > now }, { asked: 1, again: true }, `heard at ${heardAt}`);
  }
  assert(rounded > 0);
});

/** How long a server that gives a peer up after 3 s puts up with one that asks and reads nothing, in seconds. */
async function patienceWith(ask: (send: (calls: number) => Promise<void>, second: number) => Promise<void>) {
  const world = new Simulation({ link: { capacityBytes: 1_024 } });
  return await world.run(async () => {
    const server = await world.node("server").start(async ({ platform, transport }) => {
      const made = new Server({ platform, transport, limits: { writeStallMs: 3_000 } });
      made.handle("t/t", () => "x".repeat(500));
      await made.listen("tcp://server:1");
      return made;
    });
    const peer = await world.node("client").start(async ({ transport }) =>
      await new ScriptedPeer(await transport.connect("tcp://server:1")).greet()
    );
    let sent = 0;
    const send = async (calls: number) => {
      const frames = Array.from({ length: calls }, () => openFrame(2 * sent + 1, sent++ === 0 ? "t/t" : 0, "null"));
      await peer.send(new Uint8Array(frames.flatMap((frame) => [...frame])));
    };
    // It was idle for a while, and is looked at hardly ever.
    await world.sleep(10_000);
    let seconds = 0;
    for (; seconds < 30 && server.stats().counters.timeouts === 0; seconds++) {
      await ask(send, seconds);
      await world.sleep(1_000);
    }
    peer.close();
    await world.stop();
    return seconds;
  });
}

Deno.test("whoever goes on asking and reads no answer is given up in time, although each call is answered at once", async () => {
  const seconds = await patienceWith((send) => send(1));
  // The second or third answer waits, the look after that sees it, and after three seconds it is late.
  assert(seconds >= 4 && seconds <= 8, `after ${seconds} s`);
});

Deno.test("whoever asks for much at once and reads none of it is given up in time, although each call is answered at once", async () => {
  const seconds = await patienceWith(async (send, second) => {
    if (second === 0) await send(30);
  });
  assert(seconds >= 4 && seconds <= 6, `after ${seconds} s`);
});

Deno.test("a call that goes on has its connection looked at, also beside a handler whose stream is over already", async () => {
  const Odd = service("t.Odd", { breaks: serverStream<null, null>(), hangs: unary<null, null>() });
  const world = new Simulation();
  const given = await world.run(async () => {
    const server = await world.node("server").start(async ({ platform, transport }) => {
      const made = new Server({ platform, transport });
      made.handle(Odd, {
        breaks: () => ({
          [Symbol.asyncIterator]: () => ({
            next: () => {
              throw new Error("at once");
            },
            return: () => new Promise<never>(() => {}),
          }),
        }),
        hangs: () => new Promise<null>(() => {}),
      });
      await made.listen("tcp://server:1");
      return made;
    });
    const peer = await world.node("client").start(async ({ transport }) =>
      await new ScriptedPeer(await transport.connect("tcp://server:1")).greet()
    );
    await world.sleep(10_000);
    const breaks = openFrame(1, "t.Odd/breaks", "null", { kind: "serverStream" });
    const hangs = openFrame(3, "t.Odd/hangs", "null", { procedure: 1 });
    await peer.send(new Uint8Array([...breaks, ...hangs]));
    let seconds = 0;
    for (; seconds < 90 && server.stats().counters.timeouts === 0; seconds++) await world.sleep(1_000);
    peer.close();
    await world.stop();
    return seconds;
  });
  // It is asked for a sign of life as one that is busy, and gives none.
  const { keepaliveMs, pingTimeoutMs } = DEFAULT_LIMITS;
  const dueMs = keepaliveMs + pingTimeoutMs;
  assert(given * 1_000 >= dueMs && given * 1_000 <= dueMs + 3_000, `after ${given} s`);
});

/** A watchdog of a connection on which nothing happens, that has looked once. */
function idleWatchdog(timers: Timers, outbox: { writing: boolean; isLarge: boolean }): Watchdog {
  const watched = {
    hello: SILENT_HELLO,
    outbox: { isEmpty: true, progress: 0, data: { length: 0 }, shrink() {}, ...outbox },
    sender: { stalledSince: () => [], waitingBytes: 0 },
    frames: { partialBytes: 0 },
    heardAt: 0,
    hasCalls: false,
    hasPingLeft: true,
  } as unknown as Watched;
  const watchdog = new Watchdog(watched, DEFAULT_LIMITS, timers, 0);
  watchdog.onDue();
  return watchdog;
}

function stoppedTimers(): Timers {
  return new Timers({ now: () => 0, wall: () => 0, timer: () => ({ [Symbol.dispose]() {} }) });
}

Deno.test("an idle connection is looked at soon when what it was asked waits to leave or took memory, and else is not", () => {
  for (const [writing, isLarge] of [[false, false], [true, false], [false, true]]) {
    using timers = stoppedTimers();
    const watchdog = idleWatchdog(timers, { writing, isLarge });
    watchdog.framesTaken(0, 0);
    assertEquals(watchdog.dueAt, writing || isLarge ? 1_000 : DEFAULT_LIMITS.idleKeepaliveMs);
  }
});

Deno.test("a connection that is over is looked at no more, whatever comes to its end afterwards", () => {
  using timers = stoppedTimers();
  const watchdog = idleWatchdog(timers, { writing: true, isLarge: true });
  watchdog.stop();
  watchdog.framesTaken(5, 0);
  watchdog.asked(0);
  watchdog.wake(0);
  assertEquals(timers.size, 0);
});
