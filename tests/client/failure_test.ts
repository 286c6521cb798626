import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Client, fail, failure, failureOf, RpcError, Server, service, unary } from "@erpc/erpc";

const Shop = service("t.Shop", {
  buy: unary<{ count: number }, { price: number }>(),
}, {
  errors: {
    outOfStock: failure<{ left: number }>("failed_precondition"),
    closed: failure("unavailable"),
  },
});

async function start() {
  const server = new Server();
  server.handle(Shop, {
    buy({ count }) {
      if (count > 9) throw fail(Shop, "outOfStock", "Only two are left", { left: 2 });
      if (count > 5) throw fail(Shop, "closed", "Come back tomorrow", undefined);
      if (count > 3) throw new RpcError("failed_precondition", "something else");
      return { price: count };
    },
  });
  await server.listen();
  const client = new Client({ endpoints: [server.endpoint] });
  return {
    server,
    client,
    shop: client.service(Shop),
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

function told(error: unknown): string {
  const failed = failureOf(Shop, error);
  switch (failed?.reason) {
    case "outOfStock":
      return `${failed.details.left satisfies number} left, ${failed.code}`;
    case "closed":
      return `closed, ${failed.message}`;
    default:
      return "not ours";
  }
}

Deno.test("an error that a contract declares arrives as itself, and narrows in a switch", async () => {
  await using pair = await start();
  const caught = async (count: number) => told(await assertRejects(() => pair.shop.buy({ count }), RpcError));
  assertEquals(await caught(10), "2 left, failed_precondition");
  assertEquals(await caught(6), "closed, Come back tomorrow");
  assertEquals(await caught(4), "not ours");
  const error = await assertRejects(() => pair.shop.buy({ count: 10 }), RpcError);
  assertEquals([error.reason, error.executed, [...error.metadata ?? []]], ["outOfStock", "yes", []]);
  assertEquals(told(new Error("x")), "not ours");
});

Deno.test("H38 a reason that names what objects have for themselves is none of the contract's", () => {
  for (const reason of ["toString", "constructor", "__proto__"]) {
    assertEquals(failureOf(Shop, new RpcError("aborted", "x", { reason })), undefined);
    assertThrows(() => fail(Shop, reason as "closed", "x", undefined), TypeError, "declares no error");
  }
  assertThrows(() => failure("nonsense" as "aborted"), TypeError, "not a code");
});

Deno.test("a failed call explains what was known and tried", async () => {
  await using pair = await start();
  const error = await assertRejects(() => pair.shop.buy({ count: 4 }), RpcError);
  const { procedure, resolved, attempts, totalMs } = error.explain!;
  assertEquals([procedure, resolved, attempts.length], ["t.Shop/buy", 1, 1]);
  const [attempt] = attempts;
  assertEquals([attempt.endpoint, attempt.sent, attempt.code, attempt.executed], [
    pair.server.endpoint,
    true,
    "failed_precondition",
    "yes",
  ]);
  assert(totalMs >= 0 && attempt.waitedMs <= totalMs && attempt.queuedMs <= totalMs);
});

Deno.test("an explanation lists every attempt, and where none was sent", async () => {
  const ports = await Promise.all([1, 2].map(() => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    listener.close();
    return `tcp://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  }));
  await using client = new Client({ endpoints: ports, retry: { maxAttempts: 1 } });
  const error = await assertRejects(() => client.call("a.b"), RpcError);
  const { attempts, resolved } = error.explain!;
  assertEquals(resolved, 2);
  assertEquals(new Set(attempts.map(({ endpoint }) => endpoint)), new Set(ports));
  assert(attempts.every(({ sent, executed }) => !sent && executed === "no"));
});

Deno.test("console.error shows a failure in a readable way", async () => {
  await using pair = await start();
  const error = await assertRejects(() => pair.shop.buy({ count: 10 }), RpcError);
  const shown = Deno.inspect(error, { colors: false }).split("\n");
  assertEquals(
    shown[0],
    "RpcError: Only two are left (failed_precondition, executed: yes, reason: outOfStock, details: { left: 2 })",
  );
  assert(
    /^"t.Shop\/buy" failed after \d+ ms with one instance known; tried 1\. tcp:.* \(queued \d+ ms, waited \d+ ms\): failed_precondition, executed: yes$/
      .test(shown[1]),
    shown[1],
  );
  assert(shown.slice(2).every((line) => line.startsWith("    at ")));
});
