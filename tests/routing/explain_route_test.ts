import { assertEquals } from "@std/assert";
import { Metadata } from "../../src/core/metadata.ts";
import { explainRoute } from "../../src/routing/explain_route.ts";
import { ruleOf } from "./rules.ts";

const instances = [
  { id: "a", zone: "eu", version: "1", metadata: {} },
  { id: "b", zone: "eu", version: "1", metadata: {} },
  { id: "c", zone: "us", version: "2", metadata: {} },
];
const acme = ruleOf({ name: "acme", priority: 9, when: { metadata: { tenant: "acme" } }, to: [{ version: "3" }] });
const canary = ruleOf({
  name: "canary",
  to: [{ percent: 10, version: "2" }, { percent: 85, version: "1" }, { percent: 5, version: "3" }],
  otherwise: "all",
});
const rules = [acme, canary];

Deno.test("explainRoute: the first rule that the call meets decides, and each target's share and instances are told", () => {
  const found = explainRoute(rules, { procedure: "s.T/m" }, instances);
  assertEquals(found, {
    rules: [
      { rule: acme, matches: false, why: 'metadata tenant is not "acme"' },
      { rule: canary, matches: true, why: "" },
    ],
    decides: "canary",
    key: undefined,
    targets: [
      { target: 'version "2"', percent: 10, instances: ["c"], outcome: "sent" },
      { target: 'version "1"', percent: 85, instances: ["a", "b"], outcome: "sent" },
      { target: 'version "3"', percent: 5, instances: [], outcome: "sent anywhere" },
    ],
  });
});

Deno.test("explainRoute: a rule that leaves nobody fails the call; later rules are not asked", () => {
  const found = explainRoute(rules, { procedure: "s.T/m", metadata: new Metadata({ tenant: "acme" }) }, instances);
  assertEquals(found.rules.length, 1);
  assertEquals(found.targets, [{ target: 'version "3"', percent: 100, instances: [], outcome: "failed" }]);
});

Deno.test("explainRoute: a call with a key belongs to one share", () => {
  const shares = new Set(Array.from({ length: 50 }, (_, i) => {
    const found = explainRoute(rules, { procedure: "s.T/m", hashKey: `user-${i}` }, instances);
    assertEquals(found.key, `user-${i}`);
    assertEquals(found.targets.map(({ percent }) => percent).sort(), [0, 0, 100]);
    return found.targets.findIndex(({ percent }) => percent === 100);
  }));
  assertEquals(shares, new Set([0, 1, 2]));
});

Deno.test("explainRoute: without a rule that decides, or an instance, that is told too", () => {
  const none = explainRoute([acme], { procedure: "s.T/m" }, instances);
  assertEquals([none.decides, none.targets], [undefined, [
    { target: "any instance", percent: 100, instances: ["a", "b", "c"], outcome: "sent" },
  ]]);
  assertEquals(explainRoute([], { procedure: "s.T/m" }, []).targets[0].outcome, "failed");
  assertEquals(explainRoute(rules, { procedure: "s.T/m" }, []).targets.map(({ outcome }) => outcome), [
    "failed",
    "failed",
    "failed",
  ]);
});
