/** Routing rules from the center to the calls of a client. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Center, Client, consistentHash, RpcError, Server, service, unary } from "@erpc/erpc";
import { CenterRules } from "@erpc/erpc/extend";
import { answerRules } from "../../src/center/rules.ts";
import { Host } from "../../src/host/host.ts";
import { silent } from "../../src/core/logger.ts";
import { RuleBook } from "../../src/routing/rule_book.ts";
import { ruleOf } from "../routing/rules.ts";
import { until } from "../support/until.ts";

async function startCenter(endpoint = "tcp://127.0.0.1:0"): Promise<Center> {
  const center = new Center();
  await center.listen(endpoint);
  return center;
}

async function startServer(center: Center, id: string, version: string, metadata = {}): Promise<Server> {
  const server = new Server({ center: center.endpoint, id, version, metadata, ttlMs: 60_000, beatMs: 200 });
  server.handle("s.T.who", () => id);
  server.handle("s.T.which", () => id);
  server.handle("other.who", () => id);
  await server.listen();
  return server;
}

/** Who answers some calls, each once. */
async function answers(client: Client, procedure = "s.T/who", options: object = {}, calls = 40): Promise<string> {
  const ids = await Promise.all(Array.from({ length: calls }, () => client.call(procedure, undefined, options)));
  return [...new Set(ids)].sort().join();
}

const listed = (client: Client) => client.stats().services[0]?.instances.length ?? 0;
const follows = (client: Client, version: number) => until(() => client.stats().rules.version === version);

Deno.test("a rule that is set is followed, changed, and no more followed when it is removed", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  await using _b = await startServer(center, "b", "2");
  await using _c = await startServer(center, "c", "2");
  await using client = new Client({ center: center.endpoint });
  await client.call("s.T/who");
  await until(() => listed(client) === 3);
  assertEquals(await answers(client), "a,b,c");
  assertEquals(client.stats().rules.version, 0);

  center.rules.set(ruleOf({ methods: ["who"], to: [{ version: "1" }] }));
  await follows(client, 1);
  assertEquals(await answers(client), "a");
  assertEquals(await answers(client, "s.T/which"), "a,b,c");
  assertEquals(await answers(client, "other/who"), "a,b,c");
  const { rules } = client.stats();
  assertEquals([rules.count, rules.watching], [1, true]);
  assert(rules.staleMs >= 0 && rules.staleMs < 60_000, `${rules.staleMs}`);

  center.rules.set(ruleOf({ methods: ["who"], to: [{ version: { prefix: "2" } }] }));
  await follows(client, 2);
  assertEquals(await answers(client), "b,c");
  center.rules.remove("r");
  await follows(client, 3);
  assertEquals(await answers(client), "a,b,c");
  assertEquals(client.stats().rules.count, 0);
});

Deno.test("a rule that is there already holds for a client's first call", async () => {
  await using center = await startCenter();
  center.rules.set(ruleOf({ to: [{ version: "2" }] }));
  await using _a = await startServer(center, "a", "1");
  await using _b = await startServer(center, "b", "2");
  for (let round = 0; round < 8; round++) {
    await using client = new Client({ center: center.endpoint });
    assertEquals(await answers(client, "s.T/who", {}, 4), "b");
  }
});

Deno.test("metadata and tags: a tenant's calls go to its instances, others to the rest", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1", { tenant: "acme" });
  await using _b = await startServer(center, "b", "1");
  center.rules.set(
    ruleOf({
      name: "acme",
      priority: 1,
      when: { metadata: { tenant: "acme" } },
      to: [{ metadata: { tenant: "acme" } }],
    }),
  );
  center.rules.set(ruleOf({ name: "rest", to: [{ metadata: { tenant: { present: false } } }] }));
  await using client = new Client({ center: center.endpoint });
  assertEquals(await answers(client), "b");
  assertEquals(await answers(client, "s.T/who", { metadata: { tenant: "acme" } }), "a");
});

Deno.test("the client's zone: a rule for another zone costs nothing here", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  await using _b = await startServer(center, "b", "2");
  center.rules.set(ruleOf({ when: { zone: { prefix: "eu-" } }, to: [{ version: "2" }] }));
  await using near = new Client({ center: center.endpoint, zone: "eu-1" });
  await using far = new Client({ center: center.endpoint, zone: "us-1" });
  for (const client of [near, far]) {
    await client.call("s.T/who");
    await until(() => listed(client) === 2);
  }
  assertEquals([await answers(near), await answers(far)], ["b", "a,b"]);
  assertEquals([near.stats().rules.count, far.stats().rules.count], [1, 0]);
});

Deno.test("shares: a key keeps to its version, through every balancer", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  await using _b = await startServer(center, "b", "2");
  center.rules.set(ruleOf({ to: [{ percent: 50, version: "2" }, { percent: 50, version: "1" }] }));
  await using turns = new Client({ center: center.endpoint });
  await using ring = new Client({ center: center.endpoint, balancer: consistentHash() });
  const seen = new Set<string>();
  for (let user = 0; user < 20; user++) {
    const options = { hashKey: `user-${user}` };
    const where = await answers(turns, "s.T/who", options, 5);
    assertEquals(await answers(ring, "s.T/who", options, 5), where);
    seen.add(where);
  }
  assertEquals(seen, new Set(["a", "b"]));
  // Without a key both versions get some.
  assertEquals(await answers(turns), "a,b");
});

Deno.test("a rule that leaves nobody: the call fails at once and says which rule, or goes anywhere, as the rule says", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  center.rules.set(ruleOf({ name: "new-only", to: [{ version: "2" }] }));
  await using client = new Client({ center: center.endpoint });
  const error = await assertRejects(() => client.call("s.T/who"), RpcError);
  assertEquals([error.code, error.executed, error.explain?.rule, error.explain?.resolved], [
    "unavailable",
    "no",
    "new-only",
    1,
  ]);
  assertEquals(error.explain?.attempts.length, 1);
  assertEquals(
    error.message,
    'Cannot call service "s.T": routing rule "new-only" sends the call to version "2", which the one instance is not',
  );
  assert(Deno.inspect(error).includes('with one instance known, of which routing rule "new-only" left none; tried'));
  center.rules.set(ruleOf({ name: "new-only", to: [{ version: "2" }], otherwise: "all" }));
  await follows(client, 2);
  assertEquals(await client.call("s.T/who"), "a");
});

Deno.test("waitForReady waits for an instance that the rules allow, or for other rules", async () => {
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  center.rules.set(ruleOf({ to: [{ version: "2" }] }));
  await using client = new Client({ center: center.endpoint });
  const first = client.call("s.T/who", undefined, { waitForReady: true });
  await follows(client, 1);
  await using _b = await startServer(center, "b", "2");
  assertEquals(await first, "b");
  center.rules.set(ruleOf({ to: [{ version: "3" }] }));
  await follows(client, 2);
  const second = client.call("s.T/who", undefined, { waitForReady: true });
  center.rules.remove("r");
  assert(["a", "b"].includes(await second));
});

Deno.test("X6 rules stay without the center, and when it comes back empty, until others are set in it", async () => {
  const first = await startCenter();
  const { endpoint } = first;
  await using _a = await startServer(first, "a", "1");
  await using _b = await startServer(first, "b", "2");
  first.rules.set(ruleOf({ to: [{ version: "2" }] }));
  await using client = new Client({ center: endpoint });
  assertEquals(await answers(client), "b");
  await first.close();
  const watches = () => [client.stats().rules, client.stats().services[0]].map(({ watching }) => watching);
  await until(() => !watches().includes(true));
  assertEquals(await answers(client), "b");

  await using second = await startCenter(endpoint);
  await until(async () => (await second.registry.lookup("s.T")).instances.length === 2);
  await until(() => !watches().includes(false) && listed(client) === 2);
  assertEquals([await answers(client), client.stats().rules.version], ["b", 1]);
  second.rules.set(ruleOf({ name: "unrelated", service: "x.Y" }));
  await until(async () => await answers(client) === "a,b");
});

Deno.test("erpc.Rules: set, list, watch and remove through an ordinary client", async () => {
  await using center = await startCenter();
  await using client = new Client({ endpoints: [center.endpoint] });
  const rules = client.service(CenterRules);
  assertEquals(await rules.set({ rule: ruleOf() }), { version: 1 });
  assertEquals(await rules.set({ rule: ruleOf({ name: "u", service: "s.U" }) }), { version: 2 });
  const { epoch } = center.rules;
  const all = {
    epoch,
    version: 2,
    complete: true,
    services: [
      { service: "s.T", rules: [ruleOf()] },
      { service: "s.U", rules: [ruleOf({ name: "u", service: "s.U" })] },
    ],
  };
  assertEquals(await rules.list({}), all);
  assertEquals((await rules.list({ service: "s.U" })).services, all.services.slice(1));
  assertEquals((await rules.list({ service: "s.None" })).services, [{ service: "s.None", rules: [] }]);
  const events = [];
  for await (const event of rules.watch({ after: { epoch, version: 1 } })) {
    events.push(event);
    if (events.length === 1) assertEquals(await rules.remove({ name: "r" }), { version: 3, removed: true });
    else break;
  }
  assertEquals(events, [
    { epoch, version: 2, complete: false, services: all.services.slice(1) },
    { epoch, version: 3, complete: false, services: [{ service: "s.T", rules: [] }] },
  ]);
  assertEquals(await rules.remove({ name: "r" }), { version: 3, removed: false });
  for (const rule of [undefined, 7, { name: "x" }, { ...ruleOf(), to: [] }]) {
    const error = await assertRejects(() => rules.set({ rule } as never), RpcError, "Cannot use");
    assertEquals(error.code, "invalid_argument");
  }
  assertEquals(center.rules.version, 3);
});

Deno.test("erpc.Rules: who may not read or write a service's rules sees none and changes none", async () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  book.set(ruleOf({ name: "mine", service: "mine.T" }));
  const host = new Host();
  host.handle(CenterRules, answerRules(book, (_ctx, _action, service) => service.startsWith("mine."), silent));
  await using client = new Client({ endpoints: [await host.listen("memory://rules")] });
  const rules = client.service(CenterRules);
  assertEquals((await rules.list({})).services.map(({ service }) => service), ["mine.T"]);
  assertEquals((await rules.list({ service: "s.T" })).services, []);
  for await (const { services } of rules.watch({})) {
    assertEquals(services.map(({ service }) => service), ["mine.T"]);
    break;
  }
  const denied = [
    () => rules.set({ rule: ruleOf({ name: "new" }) }),
    () => rules.set({ rule: ruleOf({ name: "r", service: "mine.T" }) }),
    () => rules.remove({ name: "r" }),
  ];
  for (const run of denied) {
    const error = await assertRejects(run, RpcError, 'Cannot change the routing rules of "s.T"');
    assertEquals([error.code, book.version], ["permission_denied", 2]);
  }
  assertEquals(await rules.set({ rule: ruleOf({ name: "mine", service: "mine.U" }) }), { version: 3 });
  await host.close();
});

Deno.test("a broadcast reaches everybody to whom the rules would send such a call", async () => {
  const Who = service("s.T", { who: unary<undefined, string>() });
  await using center = await startCenter();
  await using _a = await startServer(center, "a", "1");
  await using _b = await startServer(center, "b", "2");
  await using _c = await startServer(center, "c", "3");
  center.rules.set(ruleOf({
    to: [{ percent: 10, version: "1" }, { percent: 90, version: "2" }, { percent: 0, version: "3" }],
  }));
  await using client = new Client({ center: center.endpoint });
  const reached = async (metadata = {}) => {
    const answers = await client.broadcast(Who, "who", undefined, { metadata });
    return answers.map(({ reply }) => reply).join();
  };
  assertEquals(await reached(), "a,b");
  center.rules.set(ruleOf({ name: "x", priority: 1, when: { metadata: { x: "1" } }, to: [{ version: "9" }] }));
  await follows(client, 2);
  const error = await assertRejects(
    () => reached({ x: "1" }),
    RpcError,
    'routing rule "x" sends the call to version "9"',
  );
  assertEquals(error.explain?.rule, "x");
  center.rules.set({ ...center.rules.get("x")!, otherwise: "all" });
  await follows(client, 3);
  assertEquals([await reached({ x: "1" }), await reached()], ["a,b,c", "a,b"]);
});
