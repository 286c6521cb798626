/**
 * What happens to a server that is asked for more than it can do, without admission and with it: a pool of four connections to
 * some store, each of which answers in 10 ms, so 400 calls a second; a call counts as good when it is answered within 250 ms.
 *
 *     deno run -A examples/overload.ts [seconds]
 */
import { Client, Server, type ServerOptions, service, unary } from "@erpc/erpc";

const Store = service("demo.Store", {
  read: unary<{ key: number }, { value: number }>({ idempotent: true, timeoutMs: 250 }),
});

const seconds = Number(Deno.args[0] ?? 3);
const POOL = 4;
const ANSWER_MS = 10;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A store that answers so many at a time; others wait for their turn, however long that takes. */
function makeStore() {
  let free = POOL;
  const waiting: (() => void)[] = [];
  return async (key: number) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    await pause(ANSWER_MS);
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
    return key * 2;
  };
}

/** Makes so many calls a second, whether earlier ones are answered or not, and prints what became of them. */
async function offer(name: string, admission: ServerOptions["admission"], perSecond: number): Promise<void> {
  const read = makeStore();
  // What waits in a store's queue still holds its stream: more of them than usual show what becomes of it.
  await using server = new Server({ admission, limits: { maxStreams: 10_000 } });
  server.handle(Store, { read: async ({ key }) => ({ value: await read(key) }) });
  await server.listen();
  await using client = new Client({ endpoints: [server.endpoint], retry: false });
  const store = client.service(Store);
  const took: number[] = [];
  let refused = 0;
  const calls: Promise<void>[] = [];
  const from = performance.now();
  while (calls.length < seconds * perSecond) {
    for (const due = (performance.now() - from) / 1_000 * perSecond; calls.length < due;) {
      const sentAt = performance.now();
      calls.push(
        store.read({ key: calls.length }).then(
          () => void took.push(performance.now() - sentAt),
          (error) => void (error.code === "resource_exhausted" && refused++),
        ),
      );
    }
    await pause(1);
  }
  await Promise.all(calls);
  took.sort((a, b) => a - b);
  const p99 = took[Math.floor(took.length * 0.99)] ?? NaN;
  const columns = [
    perSecond,
    Math.round(took.length / seconds),
    p99.toFixed(1),
    `${Math.round(100 * refused / calls.length)} %`,
  ];
  console.log(name.padEnd(18) + columns.map((column) => String(column).padStart(12)).join(""));
}

console.log(" ".repeat(18) + ["calls/s", "good/s", "p99 ms", "refused"].map((head) => head.padStart(12)).join(""));
for (const perSecond of [300, 800, 2_000]) {
  await offer("without", false, perSecond);
  await offer("a limit of 4", { limit: 4 }, perSecond);
  await offer("an adaptive limit", { limit: "adaptive" }, perSecond);
}
