import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  bidi,
  Call,
  clientStream,
  type Code,
  fallback,
  type Interceptor,
  Reply,
  RpcError,
  serverStream,
  service,
  unary,
} from "@erpc/erpc";
import { testPair } from "@erpc/erpc/testing";

const Shop = service("t.Shop", {
  price: unary<{ item: string }, { cents: number }>({ idempotent: true }),
  buy: unary<{ item: string }, string>(),
  total: clientStream<number, number>(),
  list: serverStream<undefined, string>(),
  chat: bidi<string, string>(),
});

const failing = (code: Code, reason?: string) => () => Promise.reject(new RpcError(code, "as asked", { reason }));
const price = new Call({ procedure: "t.Shop/price", kind: "unary", message: { item: "egg" } });

/** What comes out when what is wrapped does something. */
async function outcome(wrap: Interceptor, next: () => Promise<Reply>, call = price): Promise<unknown> {
  try {
    return (await wrap(next)(call)).message;
  } catch (error) {
    return error instanceof RpcError ? error.code : error;
  }
}

Deno.test("fallback: a value, or what a function makes of the request and the error", async () => {
  const used: string[] = [];
  const onUsed = (call: Call, error: RpcError) => void used.push(`${call.procedure} ${error.code}`);
  const value = fallback(Shop, { price: { cents: 1 } })({ onUsed });
  assertEquals(await outcome(value, failing("unavailable")), { cents: 1 });
  assertEquals(await outcome(value, () => Promise.resolve(new Reply({ message: "well" }))), "well");
  const made = fallback(Shop, { price: ({ item }, { code }) => Promise.resolve({ cents: (item + code).length }) });
  assertEquals(await outcome(made({ onUsed }), failing("internal")), { cents: 11 });
  const other = new Call({ procedure: "t.Shop/buy", kind: "unary" });
  assertEquals(await outcome(value, failing("unavailable"), other), "unavailable");
  assertEquals(used, ["t.Shop/price unavailable", "t.Shop/price internal"]);
});

Deno.test("fallback: what the application answers, and what was cancelled, stays", async () => {
  const wrap = fallback(Shop, { price: { cents: 1 } })();
  const through: Code[] = [
    "cancelled",
    "not_found",
    "invalid_argument",
    "permission_denied",
    "unauthenticated",
    "aborted",
  ];
  for (const code of through) assertEquals(await outcome(wrap, failing(code)), code);
  assertEquals(await outcome(wrap, failing("unavailable", "closed")), "unavailable");
  for (const code of ["deadline_exceeded", "resource_exhausted", "internal", "unknown"] as Code[]) {
    assertEquals(await outcome(wrap, failing(code)), { cents: 1 });
  }
  const own = fallback(Shop, { price: { cents: 2 } }, { codes: ["not_found"] })();
  assertEquals(await outcome(own, failing("not_found")), { cents: 2 });
  assertEquals(await outcome(own, failing("unavailable")), "unavailable");
});

Deno.test("fallback: a function that throws leaves the call as it failed, and is told of", async () => {
  const thrown: unknown[] = [];
  const bug = new Error("a bug");
  const wrap = fallback(Shop, {
    price() {
      throw bug;
    },
  })({ onFailed: (_, error) => void thrown.push(error) });
  assertEquals(await outcome(wrap, failing("unavailable")), "unavailable");
  assertEquals(thrown, [bug]);
});

Deno.test("fallback: methods with one reply only", () => {
  for (const name of ["list", "chat", "toString", "absent"]) {
    const error = assertThrows(() => fallback(Shop, { [name]: 1 } as never), TypeError);
    assertEquals(error.message, `Cannot fall back for "t.Shop/${name}": it is no method with one reply`);
  }
  // @ts-expect-error: a reply must be one of the method
  fallback(Shop, { price: { dollars: 1 } });
  fallback(Shop, { total: 0, buy: (request) => request.item });
});

Deno.test("a client's fallbacks answer after all retries, and are counted", async () => {
  let calls = 0;
  const answer = (code: Code) => () => {
    calls++;
    throw new RpcError(code, "as asked");
  };
  const handlers = {
    price: answer("unavailable"),
    buy: answer("failed_precondition"),
    total: answer("internal"),
    async *list() {},
    async *chat() {},
  };
  await using pair = testPair(Shop, handlers, {
    client: {
      fallbacks: [fallback(Shop, { price: { cents: 7 }, buy: "bought", total: -1 })],
      retry: { firstBackoffMs: 1 },
    },
  });
  const { client: shop, caller } = pair;
  assertEquals(await shop.price({ item: "egg" }), { cents: 7 });
  assert(calls > 1, "it was tried again first");
  assertEquals(await shop.total([1, 2]), -1);
  assertEquals((await assertRejects(() => shop.buy({ item: "egg" }), RpcError)).code, "failed_precondition");
  assertEquals(caller.stats().counters.callsFallenBack, 2);
});
