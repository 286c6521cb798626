/** Many that lose one center at the same moment, in virtual time. */
import { assert, assertEquals } from "@std/assert";
import { Center, MemoryRegistry } from "@erpc/erpc";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import { HerdPace } from "../../src/center/herd_pace.ts";
import { Registrar } from "../../src/registry/registrar.ts";
import { silent } from "../../src/core/logger.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { instanceOf } from "../registry/instances.ts";
import { makeSettings } from "../support/settings.ts";

/** The most of these moments that lie within one second. */
function peakPerSecond(times: number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < sorted.length; to++) {
    while (sorted[to] - sorted[from] >= 1_000) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

for (const outageMs of [0, 100, 1_000, 5_000, 20_000, 300_000]) {
  Deno.test(`X26 5 000 clients lose a center for ${outageMs} ms, and return within 7 s, at most 1 000 in a second`, () => {
    let now = 1_000_000;
    const clock = Object.assign(new VirtualClock(), { now: () => now });
    const dials: number[] = [];
    const returns: number[] = [];
    const lostAt = now;
    for (let i = 0; i < 5_000; i++) {
      now = lostAt;
      const pace = new HerdPace({ clock, random: seededRandom(i), turn: () => Promise.resolve() });
      pace.told(5_000);
      now += pace.afterLossMs();
      for (let failures = 0; now < lostAt + outageMs; failures++) {
        dials.push(now);
        now += pace.afterFailureMs(failures);
      }
      dials.push(now);
      returns.push(now);
    }
    const peaks = [peakPerSecond(dials), peakPerSecond(returns)];
    assert(peaks.every((peak) => peak <= 1_000), `${peaks}`);
    assert(Math.max(...returns) <= lostAt + outageMs + 7_000);
  });
}

Deno.test("X26 a client that never reached the center tries often at first, and then keeps to its moment like the others", () => {
  const clock = new VirtualClock();
  const pace = new HerdPace({ clock, random: seededRandom(1), turn: () => Promise.resolve() });
  let total = 0;
  for (let failures = 0; failures < 6; failures++) total += pace.afterFailureMs(failures);
  assert(total < 5_500, `${total}`);
  for (let failures = 6; failures < 100; failures++) assert(pace.afterFailureMs(failures) <= 7_000);
});

Deno.test("X11 one of few clients that lose a center is back within half a second", () => {
  const clock = new VirtualClock();
  for (let seed = 0; seed < 100; seed++) {
    const pace = new HerdPace({ clock, random: seededRandom(seed), turn: () => Promise.resolve() });
    pace.told(3);
    for (const ms of [pace.afterLossMs(), pace.afterFailureMs(0), pace.afterFailureMs(50)]) assert(ms > 0 && ms <= 500);
  }
});

Deno.test("X7 X26 1 000 instances lose a center that restarts empty: all are back within two beats, at most 200 dial in a second", async () => {
  const count = 1_000;
  const platform = virtualPlatform(7);
  const { clock } = platform;
  const dials: number[] = [];
  const transport: Transport = {
    ...systemTransport,
    connect(endpoint, options) {
      if (endpoint === "memory://herd-center") dials.push(clock.now());
      return systemTransport.connect(endpoint, options);
    },
  };
  const open = async () => {
    const registry = new MemoryRegistry({ platform });
    const center = new Center({ platform, registry });
    await center.listen("memory://herd-center");
    return { registry, center };
  };
  let { registry, center } = await open();
  const settings = makeSettings({ platform });
  const registrars = Array.from({ length: count }, (_, i) => {
    const registry = new CenterRegistry("memory://herd-center", settings, transport);
    const instance = instanceOf(`n${i}`, { services: ["demo.Many"] });
    const options = { name: "center", ttlMs: 15_000, beatMs: 5_000 };
    return { registry, registrar: new Registrar(registry, () => instance, platform, silent, options) };
  });
  await clock.advance(20_000);
  assertEquals(registry.instanceCount, count);

  for (const outageMs of [0, 3_000]) {
    await center.close();
    await registry.close();
    dials.length = 0;
    await clock.advance(outageMs);
    ({ registry, center } = await open());
    await clock.advance(10_000);
    assertEquals(registry.instanceCount, count);
    assert(peakPerSecond(dials) <= count / 5, `${peakPerSecond(dials)} dialled in one second`);
    assert(registrars.every(({ registrar }) => registrar.status.state === "registered"));
    await clock.advance(15_000);
  }
  await Promise.all(registrars.map(({ registrar }) => registrar.stop()));
  await Promise.all(registrars.map(({ registry }) => registry.close()));
  await center.close();
  await registry.close();
  settings.timers[Symbol.dispose]();
  assertEquals(clock.timerCount, 0);
});
