/**
 * A center that is paused, killed, and started anew without a memory, as a process of its own. These play in real time, since
 * that is what they are about: a few seconds each, with short leases. `ERPC_CENTER_MS=60000` plays them in full length, with the
 * usual leases, and with as many instances as the catalogue asks for.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import { silent } from "../../src/core/logger.ts";
import { Registrar } from "../../src/registry/registrar.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { instanceOf } from "../registry/instances.ts";
import { makeSettings } from "../support/settings.ts";
import { until } from "../support/until.ts";
import { Words, words } from "../support/words.ts";
import { CenterProcess } from "./processes.ts";

const WHOLE_MS = Number(Deno.env.get("ERPC_CENTER_MS") ?? 0);
const TTL_MS = WHOLE_MS > 0 ? 15_000 : 1_500;
const PAUSE_MS = WHOLE_MS > 0 ? 20_000 : 2 * TTL_MS;
const LOAD_MS = WHOLE_MS > 0 ? WHOLE_MS : 2_000;
const INSTANCES = WHOLE_MS > 0 ? 1_000 : 200;
const IN_FLIGHT = 64;

/** Lets time pass, which is the point of these. */
function pass(ms: number): Promise<void> {
  return new Promise((resolve) => runtimePlatform.clock.timer(ms, resolve));
}

/** Registrars with a connection of their own each, as so many processes would have. */
function startRegistrars(
  center: string,
  count: number,
): AsyncDisposable & { readonly registrars: readonly Registrar[] } {
  const stack = new AsyncDisposableStack();
  const registrars = Array.from({ length: count }, (_, n) => {
    const settings = makeSettings();
    stack.adopt(settings.timers, (timers) => timers[Symbol.dispose]());
    const registry = new CenterRegistry(center, settings, systemTransport);
    stack.defer(() => registry.close());
    const instance = instanceOf(`many${n}`, { services: ["demo.Many"], endpoints: [`tcp://10.0.0.7:${4_000 + n}`] });
    const options = { name: center, ttlMs: TTL_MS, beatMs: TTL_MS / 3, load: () => 0 };
    const registrar = new Registrar(registry, () => instance, runtimePlatform, silent, options);
    stack.defer(() => registrar.stop());
    return registrar;
  });
  return { registrars, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Calls all the time, so many at once, until told to end. */
function startLoad(client: Client, count: number) {
  const service = client.service(Words);
  const failures: unknown[] = [];
  let calls = 0;
  let stopped = false;
  const loops = Array.from({ length: count }, async () => {
    while (!stopped) {
      await service.count({ text: "one two" }).then(({ words }) => assertEquals(words, 2)).catch((e) =>
        failures.push(e)
      );
      calls++;
      // Often enough to notice everything, and seldom enough to leave the others some of the machine.
      await pass(5);
    }
  });
  return {
    failures,
    get calls() {
      return calls;
    },
    async end() {
      stopped = true;
      await Promise.all(loops);
    },
  };
}

async function startServers(center: string, count: number, stack: AsyncDisposableStack): Promise<void> {
  for (let n = 0; n < count; n++) {
    const server = stack.use(new Server({ center, id: `server${n}`, ttlMs: TTL_MS }));
    server.handle(Words, words);
    await server.listen();
    assertEquals(server.registration.state, "registered");
  }
}

Deno.test("X22 SIGSTOP of the center for longer than a lease, then SIGCONT, nobody is evicted", async () => {
  await using center = await CenterProcess.start({ ttlMs: TTL_MS });
  await using many = startRegistrars(center.endpoint, 20);
  await until(() => many.registrars.every(({ status }) => status.state === "registered"));
  // Somebody who is not renewed shows when everybody else would have gone.
  const settings = makeSettings();
  using _timers = settings.timers;
  const registry = new CenterRegistry(center.endpoint, settings, systemTransport);
  await center.pause();
  await pass(PAUSE_MS);
  center.kill("SIGCONT");
  await until(() => registry.register(instanceOf("marker"), { ttlMs: 2 * TTL_MS }).then(() => true, () => false));
  const first = await center.line(/^removed (\S+) at/);
  assertEquals(first, "marker");
  const { instances, suspects } = await registry.lookup("demo.Many");
  assertEquals([instances.length, suspects], [20, undefined]);
  await registry.close();
});

Deno.test("X6 X7 kill -9 of the center under 64 calls in flight, no call fails; started anew without a memory it lists all again, and no call fails", async () => {
  await using stack = new AsyncDisposableStack();
  const first = await CenterProcess.start({ ttlMs: TTL_MS });
  stack.use(first);
  await startServers(first.endpoint, 3, stack);
  const client = stack.use(new Client({ center: first.endpoint }));
  const load = startLoad(client, IN_FLIGHT);
  await until(() => load.calls > 10 * IN_FLIGHT);
  first.kill("SIGKILL");
  const before = load.calls;
  await pass(LOAD_MS);
  assertGreater(load.calls, before);
  assertEquals(load.failures, []);
  const second = stack.use(await CenterProcess.start({ endpoint: first.endpoint, ttlMs: TTL_MS }));
  const back = new Set<string>();
  while (back.size < 3) back.add(await second.line(/^listed (\S+) at/));
  await until(() => client.stats().services[0].watching);
  // Over the end of its warming up: what it lists then is all there is.
  await pass(2 * TTL_MS);
  await load.end();
  assertEquals(load.failures, [], `of ${load.calls} calls`);
  assertEquals(client.stats().services[0].instances.length, 3);
});

Deno.test(`X7 ${INSTANCES} instances lose a center that is started anew without a memory, all come back, few at a time, and no call fails`, async () => {
  await using stack = new AsyncDisposableStack();
  const first = await CenterProcess.start({ ttlMs: TTL_MS });
  stack.use(first);
  await startServers(first.endpoint, 3, stack);
  const client = stack.use(new Client({ center: first.endpoint }));
  const many = stack.use(startRegistrars(first.endpoint, INSTANCES));
  await until(() => many.registrars.every(({ status }) => status.state === "registered"));
  const load = startLoad(client, 8);
  await until(() => load.calls > 100);
  // By then they have asked it again how many they are.
  if (WHOLE_MS > 0) await pass(12_000);
  first.kill("SIGKILL");
  await until(() => !client.stats().services[0].watching);
  const second = stack.use(await CenterProcess.start({ endpoint: first.endpoint, ttlMs: TTL_MS }));
  const startedAt = runtimePlatform.clock.wall();
  const connected: number[] = [];
  let backAt = 0;
  for (const back = new Set<string>(); back.size < INSTANCES + 3;) {
    const [what, at] = (await second.line(/^((?:connected|listed \S+) at \d+)$/)).split(" at ");
    if (what === "connected") connected.push(Number(at));
    else {
      back.add(what);
      backAt = Number(at);
    }
  }
  await load.end();
  assertEquals(load.failures, [], `of ${load.calls} calls`);
  const perSecond = Math.max(
    ...connected.map((from) => connected.filter((at) => at >= from && at < from + 1_000).length),
  );
  console.log(`all are back after ${backAt - startedAt} ms, at most ${perSecond} connected in a second`);
  // A fifth of them, where the beat is the usual one; with a shorter beat the period in which they return is shorter too.
  if (WHOLE_MS > 0) assert(perSecond <= INSTANCES / 5, `${perSecond} in one second`);
});
