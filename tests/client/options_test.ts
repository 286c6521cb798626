/** What becomes of options that can't be meant, where nobody checks types. */
import { assertEquals, assertThrows } from "@std/assert";
import { Center, Client, Server, unary } from "../../mod.ts";
import { hedge } from "../../src/interceptor/hedge.ts";
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
  ];
  for (const [options, message] of cases) {
    assertEquals(refused((options: never) => new Client(options), options), message);
  }
});

Deno.test("Server, authenticate that is no function, refused rather than letting nobody in", () => {
  const message = refused((options: never) => new Server(options), { authenticate: "sesame" });
  assertEquals(message, "Cannot use authenticate: it must be a function");
});
