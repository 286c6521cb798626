/** Who may register and watch what, and whose a lease is. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Center, type CenterOptions, RpcError } from "@erpc/erpc";
import { CenterAdmin } from "../../src/center/admin.ts";
import { CenterRules } from "../../src/center/rules.ts";
import { instanceOf } from "../registry/instances.ts";
import { elsewhere } from "../support/elsewhere.ts";
import { firstOf, openCenter, outcomeOf } from "./scene.ts";

const TOKENS: CenterOptions["tokens"] = [
  { token: "red secret", owner: "red", register: ["demo."], watch: ["demo.", "other.Exact"] },
  { token: "blue secret", owner: "blue", register: ["*"], watch: ["*"] },
  { token: "boss secret", owner: "boss", register: ["*"], watch: ["*"], admin: true },
  { token: "reader secret", watch: ["demo.Words"] },
  {
    owner: "signed",
    register: ["demo."],
    verify: ({ token }) => {
      if (token === "throws") throw new Error("no");
      return token.startsWith("signed:") ? token.slice(7) : Promise.resolve(false);
    },
  },
];

Deno.test("Center, no tokens and nobody from elsewhere, whoever is on the same machine may do everything", async () => {
  for (const endpoint of ["tcp://127.0.0.1:0", "tcp://[::1]:0", `unix://${Deno.makeTempDirSync()}/c`]) {
    await using scene = await openCenter({}, endpoint);
    const registry = scene.registry();
    const lease = await registry.register(instanceOf("a"));
    assertEquals(await registry.renew(lease), "renewed");
    assertEquals(await firstOf(registry.watch("*")), "snapshot");
    assertEquals(await scene.client().service(CenterAdmin).evict({ instanceId: "a" }), { found: true });
  }
});

Deno.test("Center, no tokens, whoever comes from elsewhere may neither register nor watch, and is told what is missing", async () => {
  await using scene = await openCenter({ transport: elsewhere("10.0.0.7") });
  const registry = scene.registry("anything");
  const error = await assertRejects(() => registry.register(instanceOf("a")), RpcError);
  assertEquals(error.code, "unauthenticated");
  assertMatch(error.message, /tcp:\/\/10\.0\.0\.7:55555 .* needs a token, and the center was given none/);
  const lease = await scene.memory.register(instanceOf("b"));
  assertEquals(
    await Promise.all(
      [registry.renew(lease), registry.deregister(lease), registry.lookup("demo.Words")].map(outcomeOf),
    ),
    ["unauthenticated", "unauthenticated", "unauthenticated"],
  );
  assertEquals(await firstOf(registry.watch("demo.Words")), "unauthenticated");
  assertEquals(await outcomeOf(scene.client().service(CenterAdmin).evict({ instanceId: "b" })), "unauthenticated");
  assertEquals(await firstOf(scene.client().service(CenterRules).watch({})), "unauthenticated");
  assertEquals(scene.memory.instanceCount, 1);
});

Deno.test("Center, tokens, each is good for its own services and for nothing else", async () => {
  await using scene = await openCenter({ tokens: TOKENS, transport: elsewhere("10.0.0.7") });
  const [red, blue, reader] = ["red secret", "blue secret", "reader secret"].map((token) => scene.registry(token));
  const other = { services: ["other.Exact"] };
  const longer = { services: ["demo.Words", "demonstration.X"] };
  const register = (registry: typeof red, id: string, differences = {}) =>
    outcomeOf(registry.register(instanceOf(id, differences)).then(({ instanceId }) => instanceId));
  assertEquals(await register(red, "r1"), "r1");
  assertEquals(await register(red, "r2", other), "permission_denied");
  assertEquals(await register(red, "r3", longer), "permission_denied");
  assertEquals(await register(blue, "b1", other), "b1");
  assertEquals(await register(reader, "x"), "permission_denied");
  const rows: [typeof red, string, string][] = [
    [red, "demo.Words", "snapshot"],
    [red, "demo.Nobody", "snapshot"],
    [red, "other.Exact", "snapshot"],
    [red, "other.Exactly", "permission_denied"],
    [red, "demo", "permission_denied"],
    [red, "*", "permission_denied"],
    [blue, "*", "snapshot"],
    [reader, "demo.Words", "snapshot"],
    [reader, "demo.WordsMore", "permission_denied"],
    [reader, "not a name", "invalid_argument"],
  ];
  for (const [registry, service, outcome] of rows) {
    if (service !== "not a name") assertEquals(await firstOf(registry.watch(service)), outcome, service);
    const looked = outcome === "snapshot" ? outcome : await outcomeOf(registry.lookup(service).then(() => "snapshot"));
    if (service !== "not a name") assertEquals(looked, outcome, service);
  }
  assertEquals(scene.memory.instanceCount, 2);
});

Deno.test("Center, tokens, one that is wrong or missing is not let in, also on the same machine", async () => {
  await using scene = await openCenter({ tokens: TOKENS });
  for (const token of ["", "red", "red secret ", "RED SECRET", "throws"]) {
    const error = await assertRejects(() => scene.registry(token).lookup("demo.Words"), RpcError);
    assertEquals(error.code, "unauthenticated");
    assert(!error.message.includes("secret"), error.message);
  }
});

Deno.test("Center, a token that a function knows, gives the owner that it says", async () => {
  await using scene = await openCenter({ tokens: TOKENS });
  await scene.registry("signed:ann").register(instanceOf("a"));
  assertEquals(scene.memory.ownerOf("a"), "ann");
  assertEquals(await outcomeOf(scene.registry("signed:bob").register(instanceOf("a"))), "permission_denied");
});

Deno.test("Center, an empty token, lets everybody who brings none do what it says", async () => {
  const tokens = [{ token: "", watch: ["demo."] }, { token: "t", register: ["*"] }];
  await using scene = await openCenter({ tokens, transport: elsewhere("10.0.0.7") });
  assertEquals(await firstOf(scene.registry().watch("demo.Words")), "snapshot");
  assertEquals(await outcomeOf(scene.registry().register(instanceOf("a"))), "permission_denied");
  await scene.registry("t").register(instanceOf("a"));
});

Deno.test("Center, a hook of the user's, whoever it lets in may register and watch, and is the owner that it names", async () => {
  await using scene = await openCenter({
    authenticate: ({ token }) => {
      if (token === "") throw new Error("no");
      return token;
    },
    transport: elsewhere("10.0.0.7"),
  });
  const ann = scene.registry("ann");
  await ann.register(instanceOf("a"));
  assertEquals(scene.memory.ownerOf("a"), "ann");
  assertEquals(
    await outcomeOf(scene.registry("bob").register(instanceOf("a", { incarnation: 9 }))),
    "permission_denied",
  );
  assertEquals(await outcomeOf(scene.registry().lookup("*")), "unauthenticated");
  const { evict } = scene.client("bob").service(CenterAdmin);
  assertEquals(await outcomeOf(evict({ instanceId: "a" })), "permission_denied");
});

Deno.test("H56 Center, somebody else's instance and lease, can't be replaced, renewed or ended; a newer incarnation of the same owner can replace it", async () => {
  await using scene = await openCenter({ tokens: TOKENS });
  const [red, blue] = [scene.registry("red secret"), scene.registry("blue secret")];
  const lease = await red.register(instanceOf("a", { incarnation: 5 }));
  for (const incarnation of [4, 5, 6]) {
    const theirs = instanceOf("a", { incarnation, endpoints: ["tcp://10.6.6.6:1"] });
    assertEquals(await outcomeOf(blue.register(theirs)), "permission_denied", `${incarnation}`);
  }
  // Also with the token of the lease in hand.
  const attempts = [blue.renew(lease), blue.deregister(lease), blue.settled(lease)];
  assertEquals(await Promise.all(attempts.map(outcomeOf)), Array(3).fill("permission_denied"));
  assertEquals(await red.renew(lease), "renewed");
  const again = scene.registry("red secret");
  const newer = await again.register(instanceOf("a", { incarnation: 6 }));
  assertEquals([await red.renew(lease), await again.renew(newer)], ["fenced", "renewed"]);
  assertEquals((await red.lookup("demo.Words")).instances.map(({ endpoints }) => endpoints[0]), [
    "tcp://10.0.0.7:4000",
  ]);
  await red.deregister(newer);
  await blue.register(instanceOf("a"));
});

Deno.test("Center, evict and drain, for those who look after it and for owners alone", async () => {
  await using scene = await openCenter({ tokens: TOKENS });
  const red = scene.registry("red secret");
  const lease = await red.register(instanceOf("a", { incarnation: 5 }));
  const admin = (who: string) => scene.client(`${who} secret`).service(CenterAdmin);
  assertEquals(await outcomeOf(admin("blue").evict({ instanceId: "a" })), "permission_denied");
  assertEquals(await outcomeOf(admin("reader").evict({ instanceId: "a" })), "permission_denied");
  assertEquals(await admin("red").evict({ instanceId: "a" }), { found: true });
  assertEquals(await red.renew(lease), "unknown");
  const back = await red.register(instanceOf("a", { incarnation: 5 }));
  assertEquals(await admin("boss").evict({ instanceId: "a", drain: true }), { found: true });
  assertEquals(await red.renew(back), "fenced");
  assertEquals(await outcomeOf(red.register(instanceOf("a", { incarnation: 5 }))), "unavailable");
  await red.register(instanceOf("a", { incarnation: 6 }));
  assertEquals(await admin("boss").evict({ instanceId: "nobody" }), { found: false });
  assertEquals(await outcomeOf(admin("boss").evict({} as never)), "invalid_argument");
  const actors = [...scene.memory.history()].map(({ kind, actor }) => `${kind} by ${actor.replace(/ at .*/, "")}`);
  assertEquals(actors, ["listed by red", "removed by red", "listed by red", "removed by boss", "listed by red"]);
});

Deno.test("Center, routing rules, are seen by those who may watch the service and set by those who look after it", async () => {
  await using scene = await openCenter({ tokens: TOKENS });
  const rules = (who: string) => scene.client(`${who} secret`).service(CenterRules);
  const rule = { name: "r", service: "demo.Words", to: [{ version: "2" }], otherwise: "all" } as const;
  assertEquals(await outcomeOf(rules("blue").set({ rule })), "permission_denied");
  await rules("boss").set({ rule });
  const seen = async (who: string) => (await rules(who).list({})).services.map(({ service }) => service);
  assertEquals([await seen("red"), await seen("reader"), await seen("blue")], Array(3).fill(["demo.Words"]));
  await rules("boss").set({ rule: { ...rule, name: "s", service: "secret.Plans" } });
  assertEquals([await seen("red"), await seen("blue")], [["demo.Words"], ["demo.Words", "secret.Plans"]]);
});

Deno.test("Center, every change, leaves a line that says who did it", async () => {
  await using scene = await openCenter({ tokens: TOKENS, transport: elsewhere("10.0.0.7") });
  const lease = await scene.registry("red secret").register(instanceOf("a"));
  await scene.registry("red secret").deregister(lease, "drained");
  const lines = scene.lines.filter((line) => line.includes("instance"));
  assertEquals(lines, [
    'Listed instance "a" of incarnation 1 at tcp://10.0.0.7:4000 (revision 1, by "red at tcp://10.0.0.7:55555")',
    'Removed instance "a" of incarnation 1 at tcp://10.0.0.7:4000: drained (revision 2, by "red at tcp://10.0.0.7:55555")',
  ]);
});

Deno.test("H57 Center, an address that only its own machine can reach, from another machine, refused with a reason; from its own, not", async () => {
  const addresses = [
    "tcp://127.0.0.1:4000",
    "tcp://127.9:4000",
    "tls://localhost:4000",
    "tcp://[::1]:4000",
    "tcp://[::ffff:127.0.0.1]:4000",
    "unix:///run/a.sock",
    "memory://a",
  ];
  const tokens = [{ token: "", register: ["*"], watch: ["*"] }];
  await using far = await openCenter({ tokens, transport: elsewhere("10.0.0.7") });
  await using near = await openCenter();
  for (const [n, address] of addresses.entries()) {
    const instance = instanceOf(`a${n}`, { endpoints: ["tcp://10.0.0.7:4000", address] });
    const error = await assertRejects(() => far.registry().register(instance), RpcError, address);
    assertEquals(error.code, "invalid_argument");
    assertMatch(error.message, /only its own machine can reach that; tcp:\/\/10\.0\.0\.7:55555 is where it was seen/);
    await near.registry().register(instance);
  }
  assertEquals([far.memory.instanceCount, near.memory.instanceCount], [0, addresses.length]);
});

Deno.test("H57 Center, a list of allowed addresses, decides alone, and knows who asks", async () => {
  const asked: string[] = [];
  await using scene = await openCenter({
    tokens: [{ token: "", register: ["*"], watch: ["*"] }],
    transport: elsewhere("10.0.0.7"),
    allowEndpoint: (endpoint, peer) => {
      asked.push(`${endpoint} from ${peer.endpoint}`);
      return endpoint.startsWith("tcp://10.") || endpoint === "memory://fine";
    },
  });
  const registry = scene.registry();
  await registry.register(instanceOf("a", { endpoints: ["tcp://10.1.2.3:4000", "memory://fine"] }));
  const outside = instanceOf("b", { endpoints: ["tcp://192.0.2.1:4000"] });
  const error = await assertRejects(() => registry.register(outside), RpcError, "does not allow that address");
  assertEquals(error.code, "invalid_argument");
  // What nobody can reach is refused whatever the list says.
  const nowhere = instanceOf("c", { endpoints: ["tcp://169.254.169.254:80"] });
  assertEquals(await outcomeOf(registry.register(nowhere).catch((e) => e.name)), "TypeError");
  assertEquals(asked[0], "tcp://10.1.2.3:4000 from tcp://10.0.0.7:55555");
});

Deno.test("Center, requests that make no sense, are the caller's mistake and harm nobody", async () => {
  await using scene = await openCenter();
  const client = scene.client();
  const call = (method: string, request: unknown) => outcomeOf(client.call(`erpc.Center/${method}`, request));
  const nonsense = [undefined, null, 5, "x", [], {}, { instance: null }, { lease: 5 }, { lease: {} }, {
    lease: { instanceId: {}, token: 1 },
  }, { instance: { id: "a" } }];
  for (const request of nonsense) {
    for (const method of ["register", "renew", "deregister", "settled"]) {
      assertEquals(await call(method, request), "invalid_argument", `${method} ${JSON.stringify(request)}`);
    }
    for (const contract of ["erpc.Center/lookup"]) {
      const stream = client.stream(contract, request);
      assertEquals(await firstOf(stream), "invalid_argument", `${contract} ${JSON.stringify(request)}`);
    }
  }
  const { watch } = client.service((await import("../../src/center/contract.ts")).CenterContract);
  for (const first of [null, 5, {}, { service: 5 }, { service: "" }, { acknowledged: {} }]) {
    const events = watch((async function* () {
      yield first as never;
    })());
    assertEquals(await firstOf(events), "invalid_argument", JSON.stringify(first));
  }
  assertEquals([scene.memory.instanceCount, scene.memory.watcherCount], [0, 0]);
});

Deno.test("Center, tokens that can't be used, misuse where it is made", () => {
  const wrong: [unknown, string][] = [
    [[null], "token 1 of the center: it must be an object"],
    [[{}], "it must have one of token and verify"],
    [[{ token: "a", verify: () => true }], "it must have one of token and verify"],
    [[{ token: 5 }], "its token must be text"],
    [[{ token: "a" }, { token: "b", register: "demo." }], "token 2 of the center: its register must be a list"],
    [[{ token: "a", watch: [""] }], "its watch must be a list"],
    [[{ token: "a", owner: 5 }], "its owner must be text"],
    [[{ verify: "yes" }], "its verify must be a function"],
    [[{ token: "a", admin: "false" }], "its admin must be true or false"],
    [[{ token: "a", regsiter: ["demo."] }], 'it has no "regsiter"'],
    [{ token: "a" }, "tokens must be a list"],
    [null, "tokens must be a list"],
  ];
  for (const [tokens, message] of wrong) {
    assertThrows(() => new Center({ tokens: tokens as CenterOptions["tokens"] }), TypeError, message);
  }
  assertThrows(() => new Center({ tokens: [], authenticate: () => 1 }), TypeError, "one of tokens and authenticate");
});

Deno.test("H49 Center, a verify hook, lets in whom it names or says true of, and nobody else", async () => {
  const table = new Map<unknown, unknown>([["yes", true], ["named", "red"], ["empty", ""], ["one", 1], ["object", {}]]);
  const verify = ({ token }: { token: string }) => table.get(token) as boolean;
  await using scene = await openCenter({ tokens: [{ verify, register: ["*"], watch: ["*"] }] });
  const outcome = (token: string) => outcomeOf(scene.registry(token).lookup("demo.Words").then(() => "in"));
  assertEquals(await Promise.all(["yes", "named"].map(outcome)), ["in", "in"]);
  assertEquals(
    await Promise.all(["empty", "one", "object", "not in the table"].map(outcome)),
    Array(4).fill("unauthenticated"),
  );
});

Deno.test("Center, a watcher that acknowledges nonsense, is told so", async () => {
  await using scene = await openCenter();
  const { watch } = scene.client().service((await import("../../src/center/contract.ts")).CenterContract);
  for (const nonsense of [null, 5, "x", { acknowledged: null }, { acknowledged: 5 }, { acknowledged: {} }]) {
    const events = watch((async function* () {
      yield { service: "demo.Words" };
      yield nonsense as never;
    })());
    assertEquals((await events.next()).value?.kind, "snapshot");
    assertEquals(await outcomeOf(events.next()), "invalid_argument", JSON.stringify(nonsense));
  }
  assertEquals(scene.memory.watcherCount, 0);
});
