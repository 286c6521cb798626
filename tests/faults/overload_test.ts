/**
 * Clients that want more than what stands behind a server can do, in virtual time: a pool of eight, of which each call needs
 * one for 10 ms. Calls are sent at times that chance gives, whether others are answered or not, and count when they are answered within
 * half a second.
 */
import { assert, assertEquals } from "@std/assert";
import { Client, type RpcError, Server } from "@erpc/erpc";
import { below, fraction } from "../../src/core/platform.ts";
import type { AdmissionOptions } from "../../src/extend.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";

const CORES = 8;
const COST_MS = 10;
const PEAK = CORES * 1_000 / COST_MS;
const TIMEOUT_MS = 500;

/** A resource of which so many can be had at a time, in the order in which they were asked for. */
class Pool {
  readonly #clock: VirtualClock;
  readonly #waiting: (() => void)[] = [];
  #free = CORES;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  async use(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    await new Promise<void>((resolve) => this.#clock.timer(COST_MS, resolve));
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

interface Outcome {
  readonly offered: number;
  readonly goodput: number;
  readonly p99Ms: number;
  readonly refused: number;
}

let rigs = 0;

class Rig implements AsyncDisposable {
  readonly #platform = virtualPlatform(1);
  readonly server: Server;
  readonly #clients: Client[];
  readonly #stack = new AsyncDisposableStack();
  #good: number[] = [];
  #refused = 0;

  constructor(admission: AdmissionOptions | false, retries = false, clients = 8) {
    const pool = new Pool(this.#platform.clock);
    this.server = this.#stack.use(new Server({ platform: this.#platform, admission, limits: { maxStreams: 100_000 } }));
    this.server.handle("test.work", () => pool.use());
    this.#clients = Array.from({ length: clients }, (_, i) => {
      const endpoints = [`memory://overload-${rigs}`];
      const retry = retries ? undefined : false;
      return this.#stack.use(new Client({ endpoints, platform: this.#platform, retry, id: `client ${i}` }));
    });
  }

  async start(): Promise<this> {
    await this.server.listen(`memory://overload-${rigs++}`);
    return this;
  }

  /** Offers so many calls a second, each client its share of them. */
  async load(perSecond: number, ms: number, shares: readonly number[] = this.#clients.map(() => 1)): Promise<Outcome> {
    const { clock, random } = this.#platform;
    this.#good = [];
    this.#refused = 0;
    const all = shares.reduce((sum, share) => sum + share);
    /** One of the clients by chance, each as likely as its share is large. */
    const drawn = () => {
      let left = below(random, all);
      return shares.findIndex((share) => (left -= share) < 0);
    };
    const byClient: number[][] = shares.map(() => []);
    const from = clock.now();
    let sent = 0;
    for (let at = 0, now = 1; now <= ms; now++) {
      for (; at < now; sent++, at += -Math.log(1 - fraction(random)) * 1_000 / perSecond) {
        const sentAt = from + at, client = drawn();
        this.#clients[client].call("test.work", undefined, { timeoutMs: TIMEOUT_MS }).then(() => {
          const tookMs = clock.now() - sentAt;
          if (tookMs > TIMEOUT_MS) return;
          this.#good.push(tookMs);
          byClient[client].push(tookMs);
        }, ({ code }: RpcError) => code === "resource_exhausted" && this.#refused++);
      }
      await clock.advance(1);
    }
    this.byClient = byClient;
    return {
      offered: sent / ms * 1_000,
      goodput: this.#good.length / ms * 1_000,
      p99Ms: p99(this.#good),
      refused: this.#refused,
    };
  }

  /** Latencies of good calls, by client, of the last load. */
  byClient: number[][] = [];

  async [Symbol.asyncDispose](): Promise<void> {
    const disposed = this.#stack.disposeAsync();
    await this.#platform.clock.advance(1_000);
    await disposed;
  }
}

function p99(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
}

Deno.test("Control run: without admission, twice the load takes everything", async () => {
  await using rig = await new Rig(false).start();
  await rig.load(PEAK * 2, 1_500);
  const { goodput } = await rig.load(PEAK * 2, 1_500);
  assert(goodput < PEAK / 2, `${goodput} of ${PEAK} in a second`);
});

for (
  const [what, admission] of [["a limit of 8", { limit: 8 }], ["an adaptive limit", { limit: "adaptive" }]] as const
) {
  Deno.test(`Overload: with ${what} a server keeps its rate of good answers, and gives them fast`, async () => {
    await using calm = await new Rig(false).start();
    const { p99Ms } = await calm.load(PEAK * 0.8, 1_000);
    for (const [times, share] of [[2, 0.95], [5, 0.9], [10, 0.8]]) {
      await using rig = await new Rig(admission).start();
      await rig.load(PEAK * times, 3_000);
      const outcome = await rig.load(PEAK * times, 1_000);
      assert(outcome.goodput >= PEAK * share, `${outcome.goodput} of ${PEAK} in a second, at ${times} ×`);
      assert(outcome.p99Ms <= 2 * p99Ms, `p99 is ${outcome.p99Ms} ms at ${times} ×, and ${p99Ms} ms at 0.8 ×`);
    }
  });

  Deno.test(`Metastability: with ${what} and retries, all is as before after 5 s at five times`, async () => {
    await using rig = await new Rig(admission, true).start();
    const before = await rig.load(PEAK * 0.7, 1_000);
    assertEquals(before.refused, 0);
    await rig.load(PEAK * 5, 5_000);
    await rig.load(PEAK * 0.7, 2_000);
    const after = await rig.load(PEAK * 0.7, 1_000);
    assert(after.goodput >= after.offered * 0.97, `${after.goodput} of ${after.offered} in a second`);
    assert(after.p99Ms <= before.p99Ms * 1.5, `p99 is ${after.p99Ms} ms where it was ${before.p99Ms} ms`);
  });
}

Deno.test("Fairness: one client that calls ten times as often as each of nine others does not slow them down", async () => {
  const nine = Array(9).fill(1), others = PEAK * 0.6;
  await using alone = await new Rig({ limit: 8 }, false, 10).start();
  await alone.load(others, 2_000, [0, ...nine]);
  const p99Alone = p99(alone.byClient.flat());
  await using rig = await new Rig({ limit: 8 }, false, 10).start();
  const load = [others * 19 / 9, [10, ...nine]] as const;
  await rig.load(load[0], 1_000, load[1]);
  await rig.load(load[0], 4_000, load[1]);
  const [greedy, ...modest] = rig.byClient;
  const good = modest.flat();
  assert(good.length >= others * 4 * 0.97, `${good.length} of ${others * 4} calls of the others`);
  assert(p99(good) <= p99Alone * 1.5, `p99 of the others is ${p99(good)} ms, and ${p99Alone} ms without the one`);
  // Who wants most gets what is left.
  assert(greedy.length >= (PEAK - others) * 4 * 0.9, `${greedy.length} of ${(PEAK - others) * 4}`);
});
