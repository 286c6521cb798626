import { assert, assertEquals, assertThrows } from "@std/assert";
import { Metadata } from "../../src/core/metadata.ts";
import { below } from "../../src/core/platform.ts";
import { CompiledRule, describeTarget, isTargeted } from "../../src/routing/compiled_rule.ts";
import { checkRule, MAX_RULE_SIZE, type Rule } from "../../src/routing/rule.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { callOf, ruleOf } from "./rules.ts";

const full: Rule = {
  name: "canary-2.x",
  service: "demo.Words",
  methods: ["count", "search"],
  priority: -5,
  when: {
    metadata: { tenant: "acme", agent: { prefix: "test-" }, "x-debug": { present: false } },
    zone: { prefix: "eu-" },
  },
  key: "user-id",
  to: [
    { percent: 10.1, version: { prefix: "2." }, metadata: { tag: "gray" } },
    { percent: 89.9, version: "1", zone: { present: true }, id: "a" },
  ],
  otherwise: "fail",
};

Deno.test("checkRule keeps what a rule says, in a copy that nobody can change", () => {
  const checked = checkRule(structuredClone(full));
  assertEquals(JSON.parse(JSON.stringify(checked)), full);
  const parts = [
    checked,
    checked.methods,
    checked.when,
    checked.when!.metadata,
    checked.to,
    checked.to[0],
    checked.to[1].zone,
  ];
  for (const part of parts) assert(Object.isFrozen(part));
  const least = { name: "a", service: "s.T", to: [{}], otherwise: "all" };
  assertEquals(JSON.parse(JSON.stringify(checkRule(least))), least);
});

Deno.test("checkRule refuses what can't be used, and says which member and why", () => {
  const two = (a: unknown, b: unknown) => ({ to: [{ percent: a }, { percent: b }] });
  const rows: [unknown, string][] = [
    [null, "Cannot use rule null: it must be an object"],
    [[], "it must be an object"],
    ["x", "it must be an object"],
    [{ ...full, name: "" }, 'Cannot use rule "": its name must match'],
    [{ ...full, name: "a b" }, "its name must match"],
    [{ ...full, name: "x".repeat(101) }, "its name must match"],
    [{ ...full, service: 7 }, 'Cannot use rule "canary-2.x": its service 7 must be text such as "demo.Words"'],
    [{ ...full, service: "no service" }, 'Cannot use service name "no service"'],
    [{ ...full, methods: [] }, "its methods (a list of 0) must be a list of 1 to 100"],
    [{ ...full, methods: "count" }, 'its methods "count" must be a list'],
    [{ ...full, methods: ["a/b"] }, "Cannot use procedure"],
    [{ ...full, methods: [7] }, "its method 7 must be text"],
    [{ ...full, priority: 1.5 }, "its priority 1.5 must be a whole number from -1000 to 1000"],
    [{ ...full, priority: 1001 }, "its priority 1001"],
    [{ ...full, when: [] }, "its when (a list of 0) must be an object"],
    [{ ...full, when: { tenant: "acme" } }, 'when has no "tenant", only metadata, zone'],
    [
      { ...full, when: { metadata: { "Upper Case": "x" } } },
      'its key in when.metadata "Upper Case" must be a metadata key',
    ],
    [
      { ...full, when: { metadata: { a: 7 } } },
      'its when.metadata.a 7 must be text of at most 256 characters, or {"prefix": text}',
    ],
    [
      { ...full, when: { zone: { prefix: "a", present: true } } },
      'its when.zone {"prefix":"a","present":true} must be text',
    ],
    [{ ...full, when: { zone: { prefix: "" } } }, 'its when.zone {"prefix":""} must be text'],
    [{ ...full, when: { zone: "\0" } }, 'its when.zone "\\u0000" must be text'],
    [{ ...full, when: { zone: "x".repeat(257) } }, "must be text of at most 256 characters"],
    [{ ...full, key: "Not A Key" }, 'its key "Not A Key" must be a metadata key'],
    [{ ...full, to: [] }, "its to (a list of 0) must be a list of 1 to 16"],
    [{ ...full, to: {} }, "its to {} must be a list"],
    [{ ...full, to: [{ vesion: "2" }] }, 'to[0] has no "vesion", only percent, version, zone, metadata, id'],
    [{ ...full, to: [{ percent: 50 }] }, "its sum of percent 50 must be 100"],
    [{ ...full, ...two(50, 49) }, "its sum of percent 99 must be 100"],
    [{ ...full, ...two(101, -1) }, "its to[0].percent 101 must be a number from 0 to 100"],
    [{ ...full, ...two(50, undefined) }, "its to[1].percent undefined must be a number"],
    [{ ...full, ...two(NaN, 100) }, "its to[0].percent null must be a number"],
    [{ ...full, ...two("50", 50) }, 'its to[0].percent "50" must be a number'],
    [{ ...full, otherwise: undefined }, 'its otherwise undefined must be "fail" or "all"'],
    [{ ...full, otherwise: "some" }, 'its otherwise "some" must be'],
    [{ ...full, fallback: "all" }, 'rule has no "fallback", only name, service'],
    [
      { ...full, to: Array.from({ length: 16 }, () => ({ percent: 6.25, metadata: bulky() })) },
      `its size as JSON`,
    ],
    [{ ...full, to: [{ metadata: bulky(17) }] }, "its number of entries in to[0].metadata 17 must be at most 16"],
  ];
  for (const [rule, text] of rows) {
    const error = assertThrows(() => checkRule(rule), TypeError);
    assert(error.message.includes(text), `${error.message}\nhas no\n${text}`);
  }
  assert(MAX_RULE_SIZE < 16 * 3 * 256);
});

function bulky(entries = 3): Record<string, string> {
  return Object.fromEntries(Array.from({ length: entries }, (_, i) => [`k${i}`, "x".repeat(256)]));
}

Deno.test("H38 a rule's keys are keys like others, whatever they are called", () => {
  const text =
    '{"name":"constructor","service":"toString.valueOf","to":[{"metadata":{"__proto__":"x","toString":{"present":true}}}],' +
    '"otherwise":"fail"}';
  const [target] = checkRule(JSON.parse(text)).to;
  assertEquals(Object.keys(target.metadata!), ["__proto__", "toString"]);
  assertEquals(({} as Record<string, unknown>).x, undefined);
  const instance = { id: "a", zone: "", version: "", metadata: {} };
  assertEquals(isTargeted(target, instance), false);
  const metadata = JSON.parse('{"__proto__":"x","toString":"y"}');
  assertEquals(isTargeted(target, { ...instance, metadata }), true);
});

Deno.test("checkRule: whatever comes, a rule comes out that comes out again, or a TypeError", () => {
  const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  const random = seededRandom(seed);
  const pick = <T>(...values: T[]): T => values[below(random, values.length)];
  const junk = (depth = 0): unknown =>
    pick<() => unknown>(
      () =>
        pick<unknown>(
          null,
          undefined,
          true,
          -1,
          0,
          50,
          100,
          1e99,
          NaN,
          "",
          "a",
          "1",
          "__proto__",
          "\0",
          "x".repeat(300),
        ),
      () => depth > 2 ? [] : Array.from({ length: below(random, 4) }, () => junk(depth + 1)),
      () =>
        depth > 2 ? {} : Object.fromEntries(Array.from({ length: below(random, 4) }, () => [key(), junk(depth + 1)])),
    )();
  const key = () => pick("percent", "version", "zone", "metadata", "id", "prefix", "present", "a", "toString", "then");
  const members = Object.keys(full) as (keyof Rule)[];
  let used = 0;
  for (let round = 0; round < 5_000; round++) {
    const rule: Record<string, unknown> = structuredClone({ ...full, to: [{}] });
    for (let i = below(random, 3); i >= 0; i--) {
      const member = pick(...members);
      if (below(random, 3) === 0) delete rule[member];
      else rule[member] = junk();
    }
    try {
      const checked = checkRule(rule);
      assertEquals(JSON.stringify(checkRule(JSON.parse(JSON.stringify(checked)))), JSON.stringify(checked));
      used++;
    } catch (error) {
      if (!(error instanceof TypeError) || !error.message.startsWith("Cannot use")) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  }
  assert(used > 100, `seed ${seed}: only ${used} could be used`);
});

Deno.test("a rule is about the calls that meet all its conditions", () => {
  const rule = new CompiledRule(checkRule(full));
  const meets = { tenant: "acme", agent: "test-1" };
  const rows: [string, Record<string, string | Uint8Array>, string, string | undefined][] = [
    ["demo.Words/count", meets, "eu-1", undefined],
    ["demo.Words/search", { ...meets, other: "x" }, "eu-", undefined],
    ["demo.Words/total", meets, "eu-1", "the method is not count or search"],
    ["demo.Words/count", meets, "us-1", 'the client\'s zone is not "eu-"…'],
    ["demo.Words/count", { ...meets, tenant: "acm" }, "eu-1", 'metadata tenant is not "acme"'],
    ["demo.Words/count", { ...meets, agent: "testing" }, "eu-1", 'metadata agent is not "test-"…'],
    ["demo.Words/count", { ...meets, "x-debug": "1" }, "eu-1", "metadata x-debug is not absent"],
    ["demo.Words/count", { ...meets, "x-debug": new Uint8Array(1) }, "eu-1", "metadata x-debug is not absent"],
    ["demo.Words/count", { ...meets, tenant: new Uint8Array(1) }, "eu-1", 'metadata tenant is not "acme"'],
    ["demo.Words/count", {}, "eu-1", 'metadata tenant is not "acme"'],
  ];
  for (const [procedure, metadata, zone, why] of rows) {
    const call = callOf(procedure, { metadata: new Metadata(metadata) });
    assertEquals(rule.whyNot(call, zone), why);
    assertEquals(rule.admits(call) && rule.admitsZone(zone), why === undefined, why);
  }
});

Deno.test("a call without metadata is not given any by being looked at", () => {
  const rule = new CompiledRule(ruleOf({ when: { metadata: { a: "b" } }, key: "user" }));
  const call = callOf("s.T/m");
  Object.defineProperty(call, "metadata", {
    get: () => {
      throw new Error("looked at");
    },
  });
  assertEquals(rule.admits(call), false);
  assertEquals(rule.keyOf(call), undefined);
});

Deno.test("a target takes the instances that are all that it says", () => {
  const instance = { id: "a", zone: "eu-1", version: "2.1", metadata: { tag: "gray" } };
  const rows: [Rule["to"][number], boolean, string][] = [
    [{}, true, "any instance"],
    [{ version: "2.1" }, true, 'version "2.1"'],
    [{ version: "2" }, false, 'version "2"'],
    [{ version: { prefix: "2." }, zone: "eu-1" }, true, 'version "2."…, zone "eu-1"'],
    [{ version: { prefix: "2." }, zone: "eu-2" }, false, 'version "2."…, zone "eu-2"'],
    [{ metadata: { tag: "gray" } }, true, 'tag "gray"'],
    [{ metadata: { tag: "blue" } }, false, 'tag "blue"'],
    [{ metadata: { tag: { present: true }, team: { present: false } } }, true, "tag present, team absent"],
    [{ id: { prefix: "b" } }, false, 'id "b"…'],
  ];
  for (const [target, taken, text] of rows) {
    assertEquals(isTargeted(target, instance), taken, text);
    assertEquals(describeTarget(target), text);
  }
  assertEquals(isTargeted({ version: { present: true } }, { ...instance, version: "" }), false);
  assertEquals(isTargeted({ version: { present: false } }, { ...instance, version: "" }), true);
});

Deno.test("shares: calls without a key go by chance, in proportion", () => {
  const seed = 7;
  const random = seededRandom(seed);
  const rule = new CompiledRule(ruleOf({ to: [{ percent: 10 }, { percent: 0 }, { percent: 0.5 }, { percent: 89.5 }] }));
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 100_000; i++) counts[rule.targetOf(callOf("s.T/m"), random)]++;
  assert(Math.abs(counts[0] - 10_000) < 400 && Math.abs(counts[2] - 500) < 100, `seed ${seed}: ${counts}`);
  assertEquals(counts[1], 0);
});

Deno.test("shares: 0 and 100 percent are none and all, also at the ends of chance", () => {
  for (const drawn of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
    const random = { u32: () => drawn };
    const call = callOf("s.T/m");
    assertEquals(new CompiledRule(ruleOf({ to: [{ percent: 0 }, { percent: 100 }] })).targetOf(call, random), 1);
    assertEquals(new CompiledRule(ruleOf({ to: [{ percent: 100 }, { percent: 0 }] })).targetOf(call, random), 0);
  }
});

const never = {
  u32: () => {
    throw new Error("chance was asked");
  },
};

Deno.test("shares: a key is always in the same one, and stays when its share grows", () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
  const inFirst = (percent: number, name = "canary") => {
    const rule = new CompiledRule(ruleOf({ name, to: [{ percent }, { percent: 100 - percent }] }));
    return new Set(keys.filter((hashKey) => rule.targetOf(callOf("s.T/m", { hashKey }), never) === 0));
  };
  const [none, some, half, all] = [inFirst(0), inFirst(10), inFirst(50), inFirst(100)];
  assertEquals([none.size, all.size], [0, keys.length]);
  assert(Math.abs(some.size - 1_000) < 100 && Math.abs(half.size - 5_000) < 200, `${some.size} and ${half.size}`);
  assertEquals(some.difference(half).size, 0);
  assertEquals(inFirst(10), some);
  // Another rule draws its own tenth.
  const both = some.intersection(inFirst(10, "other")).size;
  assert(both > 50 && both < 160, `${both} of 1000`);
});

Deno.test("shares: the key may be metadata, and chance decides where it is missing", () => {
  const rule = new CompiledRule(ruleOf({ key: "user", to: [{ percent: 50 }, { percent: 50 }] }));
  const by = (user: string) => callOf("s.T/m", { metadata: new Metadata({ user }), hashKey: "ignored" });
  const targets = Array.from({ length: 20 }, (_, i) => rule.targetOf(by(`u${i}`), never));
  assertEquals(new Set(targets).size, 2);
  assertEquals(Array.from({ length: 20 }, (_, i) => rule.targetOf(by(`u${i}`), never)), targets);
  assertEquals(rule.targetOf(callOf("s.T/m", { hashKey: "ignored" }), { u32: () => 2 ** 32 - 1 }), 1);
  assertEquals(rule.targetOf(callOf("s.T/m", { hashKey: "ignored" }), { u32: () => 0 }), 0);
});
