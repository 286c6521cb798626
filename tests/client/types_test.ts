/** What the compiler knows about contracts. */
import { assertEquals } from "@std/assert";
import {
  bidi,
  type Client,
  clientStream,
  type Implementation,
  type ReplyOf,
  type RequestOf,
  serverStream,
  service,
  type ServiceClient,
  unary,
} from "@erpc/erpc";

const Shop = service("t.Shop", {
  buy: unary<{ item: string; count: number }, { price: number }>(),
  watch: serverStream<{ item: string }, { price: number }>(),
  fill: clientStream<{ item: string }, { items: number }>(),
  haggle: bidi<{ offer: number }, { offer: number }>(),
});

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(_?: T): void => {};

Deno.test("types of requests and replies reach both sides", () => {
  type Shopper = ServiceClient<typeof Shop>;
  holds<Equal<RequestOf<typeof Shop.methods.buy>, { item: string; count: number }>>();
  holds<Equal<ReplyOf<typeof Shop.methods.watch>, { price: number }>>();
  holds<Equal<Awaited<ReturnType<Shopper["buy"]>>, { price: number }>>();
  holds<Equal<ReturnType<Shopper["watch"]>, AsyncIterableIterator<{ price: number }>>>();
  holds<Equal<keyof Shopper, "buy" | "watch" | "fill" | "haggle">>();
  const implementation: Implementation<typeof Shop> = {
    buy: ({ item, count }) => ({ price: item.length * count }),
    async *watch({ item }) {
      yield { price: item.length };
    },
    fill: () => Promise.resolve({ items: 1 }),
    async *haggle(offers) {
      for await (const { offer } of offers) yield { offer };
    },
  };
  assertEquals(Object.keys(implementation).length, 4);
});

Deno.test("what does not fit a contract is refused by the compiler", () => {
  const never = (client: Client) => {
    const shop = client.service(Shop);
    // @ts-expect-error a count is missing
    shop.buy({ item: "a" });
    // @ts-expect-error there is no such method
    shop.sell({});
    // @ts-expect-error a reply has a price, and no name
    shop.buy({ item: "a", count: 1 }).then((reply) => reply.name);
    // @ts-expect-error there is no such option
    shop.buy({ item: "a", count: 1 }, { timeout: 5 });
  };
  assertEquals(typeof never, "function");
});

Deno.test("300 methods in 30 services are type-checked", async () => {
  const services = Array.from({ length: 30 }, (_, s) => {
    const methods = Array.from(
      { length: 10 },
      (_, m) => `  m${m}: unary<{ a${m}: string; s${s}: number }, { r${m}: number }>(),`,
    );
    const calls = Array.from({ length: 10 }, (_, m) => `  (await c${s}.m${m}({ a${m}: "x", s${s}: 1 })).r${m};`);
    const handlers = Array.from({ length: 10 }, (_, m) => `  m${m}: ({ a${m} }) => ({ r${m}: a${m}.length }),`);
    return `const S${s} = service("t.S${s}", {\n${methods.join("\n")}\n});\nserver.handle(S${s}, {\n${
      handlers.join("\n")
    }\n});\n` +
      `const c${s} = client.service(S${s});\n{\n${calls.join("\n")}\n}`;
  });
  const head =
    `import { Client, Server, service, unary } from "@erpc/erpc";\nconst server = new Server();\nconst client = new Client({ endpoints: ["memory://x"] });\n`;
  const check = async (body: string) => {
    // Beside the tests, since only there "@erpc/erpc" is this package.
    const path = await Deno.makeTempFile({
      dir: new URL(".", import.meta.url).pathname,
      prefix: ".types-",
      suffix: ".ts",
    });
    try {
      await Deno.writeTextFile(path, head + body);
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["check", "--quiet", path],
        stderr: "piped",
      }).output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
    } finally {
      await Deno.remove(path);
    }
  };
  await check(services.join("\n"));
});
