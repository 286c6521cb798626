/** Whom a center finds alive when it dials, and what becomes of the listing. */
import { assertEquals } from "@std/assert";
import { Center, Server, type ServerOptions } from "@erpc/erpc";
import { dialBack } from "../../src/center/dial_back.ts";
import type { Instance } from "../../src/registry/instance.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { instanceOf } from "../registry/instances.ts";
import { ANYBODY } from "../support/anybody.ts";
import { elsewhere } from "../support/elsewhere.ts";
import { pair } from "../support/certs.ts";
import { makeSettings } from "../support/settings.ts";
import { openCenter } from "./scene.ts";

/** When the servers here were started, as they see it. */
const incarnation = virtualPlatform(1).clock.wall();

async function listening(options: ServerOptions = {}, endpoint = "tcp://127.0.0.1:0"): Promise<Server> {
  const server = new Server({ platform: virtualPlatform(1), ...options });
  await server.listen(endpoint);
  return server;
}

type By = Parameters<ReturnType<typeof dialBack>>[2];

/** Who registers in the center's own process, and who does elsewhere. */
const HERE: By = { owner: "", from: undefined };
const from = (host: string, owner = ""): By => ({
  owner,
  from: { endpoint: `tcp://${host}:55555`, isKnown: owner !== "" },
});

/** What a dial finds, with a clock that stands still unless it is told to move. */
async function answers(
  instance: Instance,
  meanwhile: (advance: (ms: number) => Promise<void>) => Promise<void>,
  by = HERE,
) {
  const platform = virtualPlatform(1);
  const settings = makeSettings({ platform });
  using _timers = settings.timers;
  const found = dialBack(settings, systemTransport)(instance, new AbortController().signal, by);
  await meanwhile((ms) => platform.clock.advance(ms));
  return await found;
}

const atOnce = () => Promise.resolve();

Deno.test("dialBack, a server that is there, answers at any of its endpoints", async () => {
  await using server = await listening({ id: "a" });
  assertEquals(await answers(instanceOf("a", { incarnation, endpoints: [server.endpoint] }), atOnce), true);
  const endpoints = ["tcp://127.0.0.1:1", server.endpoint];
  assertEquals(await answers(instanceOf("a", { incarnation, endpoints }), atOnce), true);
});

Deno.test("dialBack, another server has taken the address, no answer", async () => {
  await using server = await listening({ id: "b" });
  assertEquals(await answers(instanceOf("a", { incarnation, endpoints: [server.endpoint] }), atOnce), false);
});

Deno.test("dialBack, the same server has been started anew, no answer: it was another that is silent", async () => {
  await using server = await listening({ id: "a" });
  for (const other of [incarnation - 1, incarnation + 1]) {
    const instance = instanceOf("a", { incarnation: other, endpoints: [server.endpoint] });
    assertEquals(await answers(instance, atOnce), false);
  }
});

Deno.test("dialBack, nobody listens there, no answer", async () => {
  assertEquals(await answers(instanceOf("a", { endpoints: ["tcp://127.0.0.1:1"] }), atOnce), false);
});

Deno.test("dialBack, a server that lets in nobody without a token, is there", async () => {
  await using server = await listening({
    id: "a",
    authenticate: () => {
      throw new Error("no");
    },
  });
  assertEquals(await answers(instanceOf("a", { incarnation, endpoints: [server.endpoint] }), atOnce), true);
});

Deno.test("dialBack, a server whose certificate nobody here trusts, is there; one that speaks no TLS is not", async () => {
  await using server = await listening({ id: "a", tls: pair("server") }, "tls://127.0.0.1:0");
  assertEquals(await answers(instanceOf("a", { incarnation, endpoints: [server.endpoint] }), atOnce), true);
  await using plain = await listening({ id: "a" });
  const endpoint = plain.endpoint.replace("tcp:", "tls:");
  assertEquals(await answers(instanceOf("a", { endpoints: [endpoint] }), atOnce), false);
});

Deno.test("dialBack, somebody takes the connection and says nothing, no answer after a second", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const endpoints = [`tcp://127.0.0.1:${listener.addr.port}`];
  const found = await answers(instanceOf("a", { incarnation, endpoints }), async (advance) => {
    using _silent = await listener.accept();
    await advance(1_100);
  });
  assertEquals(found, false);
});

Deno.test("dialBack, the registry closes meanwhile, ends at once", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const settings = makeSettings({ platform: virtualPlatform(1) });
  using _timers = settings.timers;
  const closing = new AbortController();
  const endpoints = [`tcp://127.0.0.1:${listener.addr.port}`];
  const found = dialBack(settings, systemTransport)(instanceOf("a", { incarnation, endpoints }), closing.signal, HERE);
  using _silent = await listener.accept();
  closing.abort();
  assertEquals(await found, false);
});

/** A network in which nobody answers, and what was dialled in it. */
function deaf() {
  const platform = virtualPlatform(1);
  const settings = makeSettings({ platform });
  const dialled: string[] = [];
  const transport: Transport = {
    connect(endpoint) {
      dialled.push(endpoint);
      return Promise.reject(new Error("Nobody is there"));
    },
    listen: systemTransport.listen,
  };
  const dial = dialBack(settings, transport);
  return {
    dialled,
    clock: platform.clock,
    dial: (endpoints: readonly string[], by: By) =>
      dial(instanceOf("a", { endpoints }), new AbortController().signal, by),
    [Symbol.dispose]: () => settings.timers[Symbol.dispose](),
  };
}

Deno.test("H57 dialBack, addresses of one link, are dialled for nobody, and others only for those who may have them dialled", async () => {
  using network = deaf();
  const own = ["tcp://10.0.0.7:1", "tls://[::ffff:10.0.0.7]:2", "tcp://0xa000007:3"];
  const others = ["tcp://10.0.0.8:1", "tcp://[2001:db8::1]:1"];
  const here = ["tcp://127.0.0.1:1", "tcp://127.1:1", "tcp://[::1]:1"];
  const nobodys = [
    "tcp://169.254.169.254:80",
    "tcp://0xa9fea9fe:80",
    "tcp://[fe80::1]:1",
    "tcp://[::ffff:169.254.1.1]:1",
  ];
  const endpoints = [...own, ...others, ...here, ...nobodys];
  const dialledFor = async (by: By) => {
    network.dialled.length = 0;
    assertEquals(await network.dial(endpoints, by), false);
    return network.dialled.toSorted();
  };
  assertEquals(await dialledFor(from("10.0.0.7")), own.toSorted());
  assertEquals(await dialledFor(from("10.0.0.7", "ann")), [...own, ...others].toSorted());
  assertEquals(await dialledFor(from("127.0.0.1")), [...own, ...others, ...here].toSorted());
  assertEquals(await dialledFor(HERE), [...own, ...others, ...here].toSorted());
});

Deno.test("H57 dialBack, a name that stands for an address which may not be dialled, no answer", async () => {
  await using server = await listening({ id: "a" });
  const endpoints = [server.endpoint.replace("127.0.0.1", "localhost")];
  const instance = instanceOf("a", { incarnation, endpoints });
  assertEquals(await answers(instance, atOnce), true);
  assertEquals(await answers(instance, atOnce, from("10.0.0.7", "ann")), false);
});

Deno.test("H57 dialBack, dials for one owner that find nobody, so many and then one each second; others are not concerned", async () => {
  using network = deaf();
  const dialAll = async (count: number, by: By) => {
    const before = network.dialled.length;
    for (let n = 0; n < count; n++) await network.dial([`tcp://10.0.0.8:${1 + n % 65_535}`], by);
    return network.dialled.length - before;
  };
  assertEquals(await dialAll(1_100, from("10.0.0.7", "ann")), 1_000);
  assertEquals(await dialAll(10, from("10.0.0.9", "ann")), 0);
  assertEquals(await dialAll(10, from("10.0.0.7", "ben")), 10);
  await network.clock.advance(3_000);
  assertEquals(await dialAll(10, from("10.0.0.7", "ann")), 3);
});

Deno.test("Center, somebody without a token has it dial another machine, does not happen", async () => {
  const secret = { token: "secret", register: ["*"] };
  for (const [tokens, token, expected] of [[ANYBODY, "", 0], [[secret], "secret", 1]] as const) {
    const dialled: string[] = [];
    const transport: Transport = {
      ...elsewhere("10.0.0.7"),
      connect(endpoint) {
        dialled.push(endpoint);
        return Promise.reject(new Error("Nobody is there"));
      },
    };
    await using scene = await openCenter({ transport, tokens, ttlMs: 3_000 });
    await scene.registry(token).register(instanceOf("a", { endpoints: ["tcp://10.0.0.8:22"] }));
    for (let second = 0; second < 4; second++) await scene.clock.advance(1_000);
    assertEquals([dialled.length, scene.memory.instanceCount], [expected, 0]);
  }
});

Deno.test("Center, a server that can't reach it and can be reached, stays listed as a suspect; one that can't, leaves", async () => {
  const platform = virtualPlatform(1);
  await using center = new Center({ platform });
  await center.listen("memory://dial-back-center");
  await using server = await listening({ id: "lives", platform }, "memory://dial-back-lives");
  for (let n = 0; n < 3; n++) await center.registry.register(instanceOf(`other${n}`), { ttlMs: 60_000 });
  await center.registry.register(instanceOf("lives", { incarnation, endpoints: [server.endpoint] }));
  await center.registry.register(instanceOf("dead", { endpoints: ["memory://dial-back-dead"] }));
  const watch = center.registry.watch("demo.Words")[Symbol.asyncIterator]();
  await watch.next();
  const told: string[] = [];
  for (let second = 0; second < 16; second++) await platform.clock.advance(1_000);
  while (told.length < 2) {
    const { value } = await watch.next();
    for (const c of value.changes) told.push(c.kind === "put" ? `${c.instance.id}?` : `${c.instanceId} ${c.cause}`);
  }
  assertEquals(told.sort(), ["dead expired", "lives?"]);
  assertEquals((await center.registry.lookup("*")).suspects, ["lives"]);
});

Deno.test("X7 Center, it has just started, says so for a time to live and a beat", async () => {
  const platform = virtualPlatform(1);
  await using center = new Center({ platform, ttlMs: 3_000 });
  await center.listen("memory://warming-center");
  const { registry } = center;
  assertEquals((await registry.lookup("*")).warming, true);
  await platform.clock.advance(4_099);
  assertEquals((await registry.lookup("*")).warming, true);
  await platform.clock.advance(1);
  assertEquals((await registry.lookup("*")).warming, false);
});
