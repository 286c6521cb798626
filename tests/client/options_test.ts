/** What becomes of options that can't be meant, where nobody checks types. */
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { byZone, Center, Client, fallback, log, MemoryRegistry, random, Server, subset, unary } from "../../mod.ts";
import { hedge } from "../../src/interceptor/hedge.ts";
import { redisClient } from "../../src/redis/redis.ts";
import { testPair } from "../../src/testing/test_pair.ts";
import { Words } from "../support/words.ts";

/** Makes a thing with options of the wrong shape. */
function refused(make: (options: never) => unknown, options: unknown): string {
  return assertThrows(() => make(options as never), TypeError).message;
}

Deno.test("options, a name that there is not, refused by everything that takes options", () => {
  const makers = {
    Client: (options: never) => new Client(options),
    Server: (options: never) => new Server(options),
    Center: (options: never) => new Center(options),
    unary: (options: never) => unary(options),
    hedge: (options: never) => hedge(options),
    testPair: (options: never) => testPair(Words, {} as never, options),
    fallback: (options: never) => fallback(Words, {}, options),
    log: (options: never) => log(options),
    subset: (options: never) => subset(random(), options),
    redisClient: (options: never) => redisClient("redis://127.0.0.1:1", options),
  };
  for (const [name, make] of Object.entries(makers)) {
    const message = refused(make, { misspelt: 1 });
    assertEquals(message, 'Cannot use option "misspelt": there is none of that name', name);
  }
  assertEquals(
    refused(makers.Client, { centre: "tcp://127.0.0.1:7700" }),
    'Cannot use option "centre": there is none of that name; did you mean "center"?',
  );
  // What a center does not have, although a server has.
  assertEquals(refused(makers.Center, { interceptors: [] }).startsWith('Cannot use option "interceptors"'), true);
});

Deno.test("Client, options of the wrong type, a TypeError that says which", () => {
  const cases: [object, string][] = [
    [{ center: 7700 }, 'Cannot use endpoint 7700: write it as a URL, such as "tcp://127.0.0.1:7700"'],
    [{ endpoints: "tcp://127.0.0.1:1" }, "Cannot call anybody: endpoints must be a list of addresses"],
    [{ balancer: "random" }, 'Cannot use "random" as balancer: it needs name and build, such as random() has'],
    [{ balancer: () => {} }, "Cannot use a function as balancer: it needs name and build, such as random() has"],
    [{ interceptors: (next: unknown) => next }, "Cannot use interceptors: they must be a list of functions"],
    [{ logger: { info() {} } }, "Cannot use logger: it has no debug, no warn, no error"],
    [{ token: 5 }, "Cannot use token 5: it must be a text"],
    [{ checksums: "false" }, 'Cannot use checksums "false": it must be true or false'],
    [{ warmUp: 1 }, "Cannot use warmUp 1: it must be true or false"],
    [{ retry: { codes: "unavailable" } }, 'Cannot use codes "unavailable": it must be a list of codes'],
    [{ retry: { codes: ["UNAVAILABLE"] } }, 'Cannot use codes: "UNAVAILABLE" is not a code, such as "unavailable"'],
    [{ breaker: { codes: [14] } }, 'Cannot use codes: 14 is not a code, such as "unavailable"'],
  ];
  for (const [options, message] of cases) {
    assertEquals(refused((options: never) => new Client(options), options), message);
  }
});

Deno.test("Server, authenticate that is no function, refused rather than letting nobody in", () => {
  const message = refused((options: never) => new Server(options), { authenticate: "sesame" });
  assertEquals(message, "Cannot use authenticate: it must be a function");
});

Deno.test("Server and Center, options of the wrong type, a TypeError that says which, before anything listens", () => {
  const center = "tcp://127.0.0.1:1";
  const cases: [(options: never) => unknown, object, RegExp][] = [
    [(options) => new Server(options), { center, version: 2 }, /its version 2 must be text/],
    [(options) => new Server(options), { center, metadata: { port: 5 } }, /its metadata "port" 5 must be text/],
    [(options) => new Server(options), { center, id: "" }, /its id must be text of 1 to 200 characters/],
    [(options) => new Server(options), { token: 5 }, /Cannot use token 5/],
    [(options) => new Server(options), { health: "false" }, /Cannot use health "false": it must be true or false/],
    [(options) => new Center(options), { reflection: 0 }, /Cannot use reflection 0/],
    [
      (options) => new Center(options),
      { allowEndpoint: /^tcp:/ },
      /Cannot use allowEndpoint .*: it must be a function/,
    ],
    [(options) => new Center(options), { data: 5 }, /data must be the path of a folder, or a store/],
    [(options) => new Center(options), { data: "" }, /data must be the path of a folder, or a store/],
    [(options) => new Center(options), { rules: [] }, /rules must be a RuleBook/],
    [(options) => new MemoryRegistry(options), { dial: true }, /Cannot use dial true/],
    [(options) => new MemoryRegistry(options), { onChange: "x" }, /Cannot use onChange "x"/],
    [(options) => byZone(random(), options), { strict: "no" }, /Cannot use strict "no"/],
  ];
  for (const [make, options, message] of cases) assertMatch(refused(make, options), message);
  // A center would never take it.
  assertThrows(() => new Server({ ttlMs: 86_400_001 }), RangeError, "Cannot use ttlMs 86400001");
});
