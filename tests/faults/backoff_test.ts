/** How often a server is dialled that takes connections and drops them, in virtual time. */
import { assert, assertEquals } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { below } from "../../src/core/platform.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { Interop, interopHandlers, Traces } from "../support/interop.ts";

/** The n-th pause before chance has its part: 0.2 s × 1.6 ≤ 30 s. */
const fullMs = (n: number) => Math.min(30_000, 200 * 1.6 ** n);
/** The wheel of deadlines fires up to so much later. */
const SLOT_MS = 8;

function scene(options: { luck?: number; seed?: number }) {
  const platform = virtualPlatform(options.seed ?? 1);
  const { clock, random } = platform;
  const dials: number[] = [];
  const state = { open: false };
  const transport: Transport = {
    ...systemTransport,
    connect(to, options) {
      dials.push(clock.now());
      if (state.open) return systemTransport.connect(to, options);
      const [near, far] = memoryPair("memory://near", to);
      far.close();
      return Promise.resolve(near);
    },
  };
  const { luck } = options;
  const client = new Client({
    endpoints: ["memory://refusing"],
    transport,
    platform: luck === undefined ? platform : { ...platform, random: { u32: () => Math.floor(luck * (2 ** 32 - 1)) } },
  });
  return { platform, clock, random, dials, state, client, interop: client.service(Interop) };
}

const gaps = (times: number[]) => times.slice(1).map((time, i) => time - times[i]);

Deno.test("I38 connection backoff, as long as chance allows, follows the schedule and begins anew after a success", async () => {
  const { platform, clock, dials, state, client, interop } = scene({ luck: 1 });
  const options = { waitForReady: true, timeoutMs: 3_600_000 };
  const call = interop.empty(new Uint8Array(1), options);
  await clock.advance(540_000);
  let expected = 1;
  for (let at = fullMs(0); at <= 540_000; at += fullMs(expected++)) continue;
  assert(dials.length === expected || dials.length === expected - 1, `${dials.length} dials, not ${expected}`);
  for (const [n, gap] of gaps(dials).entries()) {
    assert(gap >= fullMs(n) - 1 && gap <= fullMs(n) + 2 * SLOT_MS, `pause ${n} is ${gap} ms, not ${fullMs(n)}`);
  }
  await using server = new Server({ platform });
  server.handle(Interop, interopHandlers(new Traces()));
  await server.listen("memory://refusing");
  state.open = true;
  await clock.advance(31_000);
  assertEquals(await call, new Uint8Array(1));

  state.open = false;
  await server.close();
  await clock.advance(0);
  const before = dials.length;
  const again = interop.empty(new Uint8Array(2), options).catch((error) => error.code);
  await clock.advance(1_000);
  const firstGap = gaps(dials.slice(before))[0];
  assert(firstGap <= fullMs(0) + 2 * SLOT_MS, `the first pause after a success is ${firstGap} ms`);
  await client.close();
  assertEquals(await again, "unavailable");
  assertEquals(clock.timerCount, 0);
});

Deno.test("I38 connection backoff, left to chance, spreads from nothing to the schedule", async () => {
  const seeds = Array.from({ length: 30 }, (_, i) => below(virtualPlatform(i).random, 2 ** 31));
  const first: number[] = [];
  for (const seed of seeds) {
    const { clock, dials, client, interop } = scene({ seed });
    const call = interop.empty(new Uint8Array(1), { waitForReady: true, timeoutMs: 3_600_000 }).catch(() => {});
    await clock.advance(60_000);
    for (const [n, gap] of gaps(dials).entries()) {
      assert(gap <= fullMs(n) + 2 * SLOT_MS, `seed ${seed}: pause ${n} is ${gap} ms, more than ${fullMs(n)}`);
    }
    first.push(gaps(dials)[0]);
    await client.close();
    await call;
  }
  // Many clients that lost one server do not return together.
  const sorted = first.toSorted((a, b) => a - b);
  assert(sorted[0] < 50 && sorted.at(-1)! > 150, `${sorted}`);
});

Deno.test("I38 a client that nobody wants anything of does not dial", async () => {
  const { clock, dials, client, interop } = scene({ luck: 1 });
  await interop.empty(new Uint8Array(1), { retry: false }).catch(() => {});
  const before = dials.length;
  await clock.advance(540_000);
  assertEquals(dials.length, before);
  await client.close();
});
