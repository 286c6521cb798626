/** Connections on which little happens: how they are kept alive, and that this harms nobody. */
import { assert, assertEquals } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
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

Deno.test("whoever goes on asking and reads no answer is given up in time, although each call is answered at once", async () => {
  const world = new Simulation({ link: { capacityBytes: 1_024 } });
  const given = await world.run(async () => {
    const server = await world.node("server").start(async ({ platform, transport }) => {
      const made = new Server({ platform, transport, limits: { writeStallMs: 3_000 } });
      made.handle("t/t", () => "x".repeat(500));
      await made.listen("tcp://server:1");
      return made;
    });
    const peer = await world.node("client").start(async ({ transport }) =>
      await new ScriptedPeer(await transport.connect("tcp://server:1")).greet()
    );
    await world.sleep(10_000);
    let seconds = 0;
    for (; seconds < 30 && server.stats().counters.timeouts === 0; seconds++) {
      await peer.send(openFrame(2 * seconds + 1, seconds === 0 ? "t/t" : 0, "null"));
      await world.sleep(1_000);
    }
    peer.close();
    await world.stop();
    return seconds;
  });
  // The second or third answer waits, the look after that sees it, and after three seconds it is late.
  assert(given >= 4 && given <= 8, `after ${given} s`);
});
