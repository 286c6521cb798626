import { assert, assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import {
  below,
  fraction,
  hexId,
  inputSeen,
  MAX_TIMER_MS,
  type Random,
  runtimePlatform,
} from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

const { clock, random } = runtimePlatform;

/** Chance that draws these numbers, again and again. */
function drawing(...numbers: number[]): Random {
  let n = 0;
  return { u32: () => numbers[n++ % numbers.length] };
}

function fires(ms: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  clock.timer(ms, () => resolve(clock.now()));
  // The timer does not keep the process alive by itself, so something else has to.
  const keeper = setInterval(() => {}, 1_000);
  return promise.finally(() => clearInterval(keeper));
}

Deno.test("runtimePlatform, its clock, never goes back and tells the time", () => {
  let last = clock.now();
  for (let n = 0; n < 1_000; n++) {
    const now = clock.now();
    assertGreaterOrEqual(now, last);
    last = now;
  }
  assert(Math.abs(clock.wall() - Date.now()) < 5_000);
});

Deno.test("runtimePlatform, timers, fire in order whatever odd time they get", async () => {
  const order: number[] = [];
  await Promise.all([30, 0, -5].map((ms, n) => fires(ms).then(() => order.push(n))));
  assertEquals(order.at(-1), 0);
  assertEquals(order.length, 3);
});

Deno.test("runtimePlatform, a timer longer than the runtime's can be, does not fire at once", async () => {
  let fired = false;
  const timers = [MAX_TIMER_MS + 1, 1e12, Infinity].map((ms) => clock.timer(ms, () => fired = true));
  await fires(20);
  for (const timer of timers) timer[Symbol.dispose]();
  assert(!fired);
});

Deno.test("runtimePlatform, a disposed timer, never fires", async () => {
  let fired = false;
  const timer = clock.timer(1, () => fired = true);
  timer[Symbol.dispose]();
  timer[Symbol.dispose]();
  await fires(20);
  assert(!fired);
});

Deno.test("runtimePlatform, a turn, comes after all that was waiting", async () => {
  const log: string[] = [];
  const { port1, port2 } = new MessageChannel();
  const message = Promise.withResolvers<void>();
  port1.onmessage = () => {
    log.push("message");
    message.resolve();
  };
  const turned = runtimePlatform.turn().then(() => log.push("turn"));
  for (let n = 0; n < 100; n++) await undefined;
  log.push("microtasks");
  port2.postMessage(0);
  await Promise.all([turned, message.promise]);
  port1.close();
  port2.close();
  assertEquals(log[0], "microtasks");
});

Deno.test("runtimePlatform, chance, whole numbers of 32 bits that hardly repeat", () => {
  const drawn = Array.from({ length: 2_000 }, () => random.u32());
  for (const number of drawn) assert(Number.isInteger(number) && number >= 0 && number < 2 ** 32);
  assertGreaterOrEqual(new Set(drawn).size, 1_990);
});

Deno.test("fraction and below, the least and the greatest draw, within their bounds", () => {
  assertEquals(fraction(drawing(0)), 0);
  assert(fraction(drawing(2 ** 32 - 1)) < 1);
  for (const bound of [1, 2, 10, 1_000, 2 ** 31]) {
    assertEquals([below(drawing(0), bound), below(drawing(2 ** 32 - 1), bound)], [0, bound - 1]);
  }
});

Deno.test("below, many draws, every number as likely", () => {
  const counts = new Array(7).fill(0);
  const seeded = seededRandom(3);
  for (let n = 0; n < 70_000; n++) counts[below(seeded, 7)]++;
  for (const count of counts) assert(Math.abs(count - 10_000) < 400, `${counts}`);
});

Deno.test("hexId, any number of digits, that many from the draws", () => {
  assertEquals(hexId(drawing(0x1234abcd, 5), 16), "1234abcd00000005");
  for (const digits of [0, 1, 8, 9, 32]) assertMatch(hexId(random, digits), new RegExp(`^[\\da-f]{${digits}}$`));
});

Deno.test("runtimePlatform, input, resolves after input that is waiting was seen, although something runs in every turn", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dialled = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using far = await listener.accept();
  using near = await dialled;
  let seen = 0;
  let over = false;
  const reading = (async () => {
    const target = new Uint8Array(1);
    while (!over && await near.read(target) !== null) seen++;
  })();
  const busy = (async () => {
    while (!over) await runtimePlatform.turn();
  })();
  for (let sent = 1; sent <= 20; sent++) {
    await far.write(new Uint8Array([sent]));
    await inputSeen(runtimePlatform);
    // What was looked for while it was on its way is there the next time.
    if (seen < sent) await inputSeen(runtimePlatform);
    assertEquals(seen, sent);
  }
  over = true;
  far.close();
  await Promise.all([reading, busy]);
});
