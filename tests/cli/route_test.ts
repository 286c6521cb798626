import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Center } from "@erpc/erpc";
import { instanceOf } from "../registry/instances.ts";
import { ruleOf } from "../routing/rules.ts";
import { erpc, FakeIo } from "./fake_io.ts";

async function startCenter(): Promise<Center> {
  const center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  return center;
}

const canary = ruleOf({
  name: "canary",
  service: "demo.Words",
  to: [{ percent: 10, version: "2" }, { percent: 90, version: { prefix: "1" } }],
  otherwise: "all",
});
const acme = ruleOf({
  name: "acme",
  service: "demo.Words",
  methods: ["count"],
  priority: 5,
  when: { metadata: { tenant: "acme", debug: { present: false } }, zone: { prefix: "eu-" } },
  to: [{ metadata: { pool: "acme" } }],
});

Deno.test("erpc route set, from an argument, a file and stdin, one rule or a list", async () => {
  await using center = await startCenter();
  const where = ["--center", center.endpoint];
  const first = await erpc(["route", "set", JSON.stringify(canary), ...where]);
  assertEquals(first, { code: 0, out: 'Rule "canary" is set, version 1\n', err: "" });
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, JSON.stringify([canary, acme]));
  const second = await erpc(["route", "set", path, ...where]);
  assertEquals(second.out, 'Rule "canary" is set, version 1\nRule "acme" is set, version 2\n');
  await Deno.remove(path);
  const third = await erpc(
    ["route", "set", "-", ...where],
    new FakeIo({ stdin: JSON.stringify({ ...acme, priority: 6 }) }),
  );
  assertEquals(third.out, 'Rule "acme" is set, version 3\n');
  assertEquals(center.rules.rules("demo.Words").map(({ name }) => name), ["acme", "canary"]);
});

Deno.test("erpc route set, one of a list can't be used, sets none", async () => {
  await using center = await startCenter();
  const rules = JSON.stringify([canary, { ...acme, to: [] }]);
  const { code, err } = await erpc(["route", "set", rules, "--center", center.endpoint]);
  assertEquals([code, center.rules.version], [2, 0]);
  assertMatch(err, /^Cannot use rule "acme": its to \(a list of 0\) must be a list of 1 to 16\n/);
});

Deno.test("erpc route list, a table by service and priority, or JSON that set takes", async () => {
  await using center = await startCenter();
  const where = ["--center", center.endpoint];
  const none = await erpc(["route", "list", ...where]);
  assertEquals(none, { code: 0, out: "", err: `No routing rule is set at ${center.endpoint}\n` });
  for (const rule of [canary, acme, ruleOf({ name: "z", service: "a.First" })]) center.rules.set(rule);
  const { code, out, err } = await erpc(["route", "list", ...where]);
  assertEquals([code, err], [0, ""]);
  assertEquals(
    out.split("\n"),
    [
      "RULE    SERVICE     PRIORITY  METHODS  WHEN                                      TO                                 OTHERWISE",
      "z       a.First            0  all      always                                    100% any instance                  fail",
      'acme    demo.Words         5  count    zone "eu-"…, tenant "acme", debug absent  100% pool "acme"                   fail',
      'canary  demo.Words         0  all      always                                    10% version "2"; 90% version "1"…  all',
      "",
    ].map((line) => line),
  );
  const json = await erpc(["route", "list", "demo.Words", "--json", ...where]);
  assertEquals(json.out.trim().split("\n").map((line) => JSON.parse(line).name), ["acme", "canary"]);
  await using other = await startCenter();
  for (const line of json.out.trim().split("\n")) {
    assertEquals((await erpc(["route", "set", line, "--center", other.endpoint])).code, 0);
  }
  assertEquals(other.rules.rules(), center.rules.rules("demo.Words"));
});

Deno.test("erpc route rm, removes a rule; one that is not there is a failure", async () => {
  await using center = await startCenter();
  center.rules.set(canary);
  const args = ["route", "rm", "canary", "--center", center.endpoint];
  assertEquals(await erpc(args), { code: 0, out: 'Rule "canary" is removed, version 2\n', err: "" });
  assertEquals(await erpc(args), { code: 1, out: "", err: 'There is no rule "canary"\n' });
});

Deno.test("erpc route set and rm, several centers, change each; one that is away is told of", async () => {
  await using one = await startCenter();
  await using two = await startCenter();
  const centers = [one.endpoint, "tcp://127.0.0.1:1", two.endpoint].flatMap((endpoint) => ["--center", endpoint]);
  const { code, out, err } = await erpc(["route", "set", JSON.stringify(canary), ...centers]);
  assertEquals(code, 1);
  assertEquals(
    out,
    `Rule "canary" is set at ${one.endpoint}, version 1\nRule "canary" is set at ${two.endpoint}, version 1\n`,
  );
  assertMatch(err, /^tcp:\/\/127\.0\.0\.1:1: Cannot connect to tcp:\/\/127\.0\.0\.1:1: .*\n$/);
  assertEquals([one.rules.size, two.rules.size], [1, 1]);
});

Deno.test("erpc route try, says which rule decides, why others do not, and who is left", async () => {
  await using center = await startCenter();
  const where = ["--center", center.endpoint];
  await center.registry.register(instanceOf("a", { version: "1.4" }));
  await center.registry.register(instanceOf("b", { version: "1.5", metadata: { pool: "acme" } }));
  center.rules.set(canary);
  center.rules.set(acme);

  const plain = await erpc(["route", "try", "demo.Words/count", "--zone", "eu-1", ...where]);
  assertEquals([plain.code, plain.err], [0, ""]);
  assertEquals(plain.out.split("\n"), [
    "RULE    MATCHES  WHY NOT",
    'acme    no       metadata tenant is not "acme"',
    "canary  yes",
    "",
    "SHARE  TARGET        LEFT    INSTANCES  CALLS ARE",
    '  10%  version "2"   0 of 2  -          sent anywhere',
    '  90%  version "1"…  2 of 2  a,b        sent',
    "",
  ]);

  const tenant = await erpc(["route", "try", "demo.Words/count", "--zone", "eu-1", "-m", "tenant=acme", ...where]);
  assertStringIncludes(tenant.out, ' 100%  pool "acme"  1 of 2  b          sent\n');
  const keyed = await erpc(["route", "try", "demo.Words/count", "--key", "user-7", ...where]);
  assertMatch(keyed.out, /^ {3}0% .*\n 100% /m);

  const proposed = JSON.stringify({ ...canary, to: [{ version: "3" }], otherwise: "fail" });
  const instead = await erpc(["route", "try", "demo.Words/count", "--with", proposed, ...where]);
  assertStringIncludes(instead.out, ' 100%  version "3"  0 of 2  -          failed\n');
  assertEquals(center.rules.version, 2);

  const nobody = await erpc(["route", "try", "other.count", ...where]);
  assertEquals(nobody.err, "No rule decides: the call goes wherever balancing sends it\n");
  assertEquals(
    nobody.out,
    "SHARE  TARGET        LEFT    INSTANCES  CALLS ARE\n 100%  any instance  0 of 0  -          failed\n",
  );
});

Deno.test("erpc route try, many instances, names some and counts the rest", async () => {
  await using center = await startCenter();
  for (const id of "abcdefgh") await center.registry.register(instanceOf(id));
  const { out } = await erpc(["route", "try", "demo.Words/count", "--center", center.endpoint]);
  assertStringIncludes(out, "8 of 8  a,b,c,d,e,… 3 more  sent\n");
});
