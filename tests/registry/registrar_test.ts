/** Keeping an instance registered, in virtual time, with a registry of which a test says what it answers. */
import { assert, assertEquals } from "@std/assert";
import { RpcError } from "@erpc/erpc";
import type { Logger } from "../../src/core/logger.ts";
import type { Instance } from "../../src/registry/instance.ts";
import { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import { Registrar } from "../../src/registry/registrar.ts";
import type { Lease, RenewResult } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "./instances.ts";

const TTL_MS = 15_000;
const BEAT_MS = 5_000;

/** A registry that notes what it is asked, and fails as long as it is told to. */
class Noting extends MemoryRegistry {
  readonly asked: string[] = [];
  failing: (() => Error) | undefined;
  /** What renewals answer instead of the truth. */
  renewal: RenewResult | undefined;

  override register(...args: Parameters<MemoryRegistry["register"]>): Promise<Lease> {
    this.asked.push("register");
    return this.failing === undefined ? super.register(...args) : Promise.reject(this.failing());
  }

  override renew(...args: Parameters<MemoryRegistry["renew"]>): Promise<RenewResult> {
    this.asked.push(`renew${args[1]?.load === undefined ? "" : ` ${args[1].load}`}`);
    if (this.failing !== undefined) return Promise.reject(this.failing());
    return this.renewal === undefined ? super.renew(...args) : Promise.resolve(this.renewal);
  }
}

function scene(options: { describe?: () => Instance | Promise<Instance>; load?: () => number; seed?: number } = {}) {
  const platform = virtualPlatform(options.seed ?? 1);
  const registry = new Noting({ platform });
  const logged: string[] = [];
  const note = (level: string) => (text: string) => void logged.push(`${level}: ${text}`);
  const logger: Logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
  const { describe = () => instanceOf("a"), load } = options;
  const registrar = new Registrar(registry, describe, platform, logger, {
    name: "center",
    ttlMs: TTL_MS,
    beatMs: BEAT_MS,
    load,
  });
  return {
    clock: platform.clock,
    registry,
    registrar,
    logged,
    /** What was asked since this was asked. */
    asked: () => registry.asked.splice(0),
    listed: async () => (await registry.lookup("*")).instances,
    async [Symbol.asyncDispose]() {
      const stopped = registrar.stop();
      await platform.clock.advance(2_000);
      await stopped;
      await registry.close();
      assertEquals(platform.clock.timerCount, 0);
    },
  };
}

const unavailable = () => new RpcError("unavailable", "nobody listens");

Deno.test("a registrar renews every 5 s give or take a tenth, with the load, and at a moment of its own after registering", async () => {
  const first: number[] = [];
  for (let seed = 0; seed < 20; seed++) {
    let load = 0;
    await using s = scene({ seed, load: () => ++load });
    await s.clock.advance(0);
    assertEquals(s.asked(), ["register"]);
    const times: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 10) {
      await s.clock.advance(10);
      if (s.asked().length > 0) times.push(s.clock.now());
    }
    first.push(times[0]);
    for (const [i, time] of times.slice(1).entries()) {
      const gap = time - times[i];
      assert(gap >= 4_490 && gap <= 5_510, `seed ${seed}: ${gap}`);
    }
    assertEquals(load, times.length);
  }
  assert(Math.min(...first) < 1_500 && Math.max(...first) > 3_500 && Math.max(...first) <= 5_010, first.join());
});

Deno.test("seed defect: registers once and never again: a registry that forgot the lease is told again with the next beat", async () => {
  await using s = scene();
  await s.clock.advance(0);
  for (let round = 0; round < 5; round++) {
    const [instance] = await s.listed();
    await s.registry.deregister(await s.registry.register(instance));
    assertEquals(await s.listed(), []);
    await s.clock.advance(5_510);
    assertEquals((await s.listed()).length, 1);
    assertEquals(s.registrar.status.state, "registered");
  }
});

Deno.test("seed defect: registers once and never again: a registry that is away for an hour is told when it is back", async () => {
  await using s = scene();
  await s.clock.advance(0);
  const [instance] = await s.listed();
  await s.registry.deregister(await s.registry.register(instance));
  s.registry.failing = unavailable;
  s.asked();
  await s.clock.advance(3_600_000);
  const attempts = s.asked().length;
  assert(attempts > 3_600 / 7.5 - 20 && attempts < 3_600 / 2.5 + 20, `${attempts} attempts`);
  const { state, error, failures, nextAttemptMs } = s.registrar.status;
  assertEquals([state, error], ["registering", "nobody listens"]);
  assertEquals(failures, attempts);
  assert(nextAttemptMs! > 0 && nextAttemptMs! <= 7_500);
  assertEquals(s.logged.filter((line) => line.startsWith("warn")).length, 1, "one warning for one outage");
  s.registry.failing = undefined;
  await s.clock.advance(7_500);
  assertEquals((await s.listed()).length, 1);
  assertEquals([s.registrar.status.state, s.registrar.status.error], ["registered", undefined]);
});

Deno.test("a registrar says that it may not be listed any more once its lease may have ended, and renews it when the registry is back", async () => {
  await using s = scene();
  await s.clock.advance(0);
  s.registry.failing = unavailable;
  await s.clock.advance(14_000);
  assertEquals([s.registrar.status.state, s.registrar.status.error], ["registered", "nobody listens"]);
  await s.clock.advance(1_500);
  assertEquals(s.registrar.status.state, "registering");
  s.registry.failing = undefined;
  await s.clock.advance(7_500);
  assertEquals(s.registrar.status.state, "registered");
});

Deno.test("a registrar waits as long as the error says", async () => {
  await using s = scene();
  await s.clock.advance(0);
  s.registry.failing = () => new RpcError("resource_exhausted", "full", { retryAfterMs: 60_000 });
  await s.clock.advance(5_010);
  s.asked();
  await s.clock.advance(54_000);
  assertEquals(s.asked(), []);
  assertEquals(s.registrar.status.state, "refused");
  s.registry.failing = undefined;
  await s.clock.advance(10_000);
  assertEquals(s.registrar.status.state, "registered");
});

Deno.test("a registrar that is refused tries again, at longer and longer intervals up to half a minute", async () => {
  await using s = scene({
    describe: () => {
      throw new TypeError("the address can't be reached");
    },
  });
  await s.clock.advance(600_000);
  const { state, error, failures, endpoints } = s.registrar.status;
  assertEquals([state, error, endpoints], ["refused", "the address can't be reached", []]);
  assert(failures > 15 && failures < 50, `${failures}`);
  assertEquals(s.asked(), []);
});

Deno.test("what has changed is registered at once, also when that fails at first", async () => {
  let weight = 1;
  await using s = scene({ describe: () => instanceOf("a", { weight }) });
  await s.clock.advance(0);
  weight = 2;
  s.registrar.update();
  await s.clock.advance(0);
  assertEquals((await s.listed())[0].weight, 2);
  s.registry.failing = unavailable;
  weight = 3;
  s.registrar.update();
  await s.clock.advance(0);
  s.registry.failing = undefined;
  await s.clock.advance(400);
  assertEquals((await s.listed())[0].weight, 3, "a renewal alone would have left it as it was");
});

Deno.test("a registrar whose id a newer process has taken stays away, says so, and returns when that has gone", async () => {
  await using s = scene();
  await s.clock.advance(0);
  const newer = await s.registry.register(instanceOf("a", { incarnation: 2 }), { ttlMs: 3_600_000 });
  await s.clock.advance(5_510);
  assertEquals([s.registrar.status.state, s.registrar.status.error], [
    "fenced",
    'A newer process has registered as "a", or it was drained from outside',
  ]);
  assert(s.logged.some((line) => line.startsWith("error: Cannot stay registered at")));
  s.asked();
  await s.clock.advance(120_000);
  assertEquals((await s.listed())[0].incarnation, 2);
  assertEquals(s.registrar.status.state, "fenced");
  assert(s.asked().length < 20);
  await s.registry.deregister(newer);
  await s.clock.advance(TTL_MS * 1.5);
  assertEquals((await s.listed())[0].incarnation, 1);
  assertEquals(s.registrar.status.state, "registered");
});

Deno.test("a registrar that is stopped leaves the list, and does nothing more", async () => {
  await using s = scene();
  await s.clock.advance(0);
  await s.registrar.stop();
  assertEquals(await s.listed(), []);
  assertEquals([s.registrar.status.state, s.registrar.status.nextAttemptMs], ["stopped", undefined]);
  s.asked();
  s.registrar.update();
  await s.clock.advance(60_000);
  assertEquals(s.asked(), []);
});

Deno.test("a registrar that leaves while it registers waits for the lease, and gives it back", async () => {
  const described = Promise.withResolvers<Instance>();
  await using s = scene({ describe: () => described.promise });
  const left = s.registrar.leave("drained", new AbortController().signal);
  described.resolve(instanceOf("a"));
  assertEquals(await left, { name: "center", state: "acknowledged", why: undefined });
  assertEquals(s.asked(), ["register"]);
  assertEquals(await s.listed(), []);
});

Deno.test("renewals that are answered with nonsense, or not at all, end neither the loop nor the process", async () => {
  await using s = scene();
  await s.clock.advance(0);
  s.registry.renewal = "what?" as RenewResult;
  await s.clock.advance(30_000);
  s.registry.renewal = undefined;
  s.registry.failing = () => "no error at all" as unknown as Error;
  await s.clock.advance(30_000);
  assertEquals(s.registrar.status.error, "no error at all");
  s.registry.failing = undefined;
  await s.clock.advance(60_000);
  assertEquals(s.registrar.status.state, "registered");
});

Deno.test("a registrar whose instance can't be described yet, ends all the same: at once, or when there is no more time", async () => {
  for (const how of ["stop", "leave"]) {
    const { registrar, clock, registry } = scene({ describe: () => new Promise(() => {}) });
    await clock.settle();
    const late = new AbortController();
    let over = false;
    const ending = how === "stop" ? registrar.stop() : registrar.leave("drained", late.signal);
    const ended = ending.then((farewell) => {
      over = true;
      return farewell;
    });
    await clock.settle();
    assertEquals(over, how === "stop");
    late.abort(new Error("no more time"));
    await clock.settle();
    assertEquals(over, true);
    if (how === "leave") assertEquals((await ended)?.state, "unlisted");
    assertEquals(registrar.status.state, "stopped");
    await registry.close();
    assertEquals(clock.timerCount, 0);
  }
});
