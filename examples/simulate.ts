/** Tests two services under partitions and crashes, in virtual time: a shop, and the stock that it sells from. */
import { Client, RpcError, Server, service, unary } from "@erpc/erpc";
import { type NodeContext, Simulation } from "@erpc/erpc/testing";

const Stock = service("demo.Stock", { take: unary<{ order: string }, { left: number }>({ idempotent: true }) });
const Shop = service("demo.Shop", { buy: unary<{ order: string }, { left: number }>() });
const PIECES = 15;

/** Keeps its books on disk: taking twice for one order is taking once. */
async function stock({ platform, transport, durable: books }: NodeContext): Promise<Server> {
  const server = new Server({ platform, transport });
  server.handle(Stock, {
    take: ({ order }) => {
      if (!books.has(order) && books.size === PIECES) throw new RpcError("failed_precondition", "Sold out");
      books.set(order, platform.clock.wall());
      return { left: PIECES - books.size };
    },
  });
  await server.listen("tcp://stock:4000");
  return server;
}

/** Sells what the stock has; an order may take 3 s, whatever happens. */
async function shop({ platform, transport }: NodeContext): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const server = stack.use(new Server({ platform, transport }));
  const client = stack.use(new Client({ endpoints: ["tcp://stock:4000"], platform, transport, timeoutMs: 3_000 }));
  server.handle(Shop, { buy: (order, ctx) => client.service(Stock).take(order, { parent: ctx }) });
  await server.listen("tcp://shop:4000");
  return stack;
}

for (let seed = 1; seed <= 5; seed++) {
  const world = new Simulation({ seed, link: { latencyMs: 5, jitterMs: 30, resets: 0.2 } });
  await world.run(async () => {
    await world.node("stock").start(stock);
    await world.node("shop").start(shop);
    const buyer = await world.node("buyer").start(({ platform, transport }) =>
      new Client({ endpoints: ["tcp://shop:4000"], platform, transport })
    );
    world.after(3_000, () => world.network.partition(["shop"], ["stock"]));
    world.after(9_000, () => world.network.heal());
    world.after(12_000, () => world.node("stock").crash());
    world.after(15_000, () => world.node("stock").restart());
    const books = world.node("stock").durable;
    const counts: Record<string, number> = {};
    for (let n = 1; n <= 25; n++) {
      const order = `order-${n}`;
      const outcome = await buyer.service(Shop).buy({ order }).then(() => "sold", (error: RpcError) => error.code);
      if (outcome === "sold" && !books.has(order)) throw new Error(`Seed ${seed}: ${order} is not in the books`);
      counts[outcome] = (counts[outcome] ?? 0) + 1;
      await world.sleep(500);
    }
    console.log(
      `seed ${seed}, ${Math.round(world.now / 1_000)} virtual s: ${books.size} in the books, ${JSON.stringify(counts)}`,
    );
    await world.stop();
  });
}
