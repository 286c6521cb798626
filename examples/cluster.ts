/**
 * What more processes bring on one machine: the same work by 1, 2, 3 … servers, each a process of its own that registers
 * with a center, called by one client.
 *
 *     deno run -A examples/cluster.ts [most servers] [milliseconds for each]
 */
import { Center, Client, leastLoaded, Server, service, unary } from "@erpc/erpc";

const Primes = service("demo.Primes", {
  // Work for some tenths of a millisecond, so that the servers are what is waited for.
  count: unary<{ below: number }, { primes: number; by: string }>({ idempotent: true }),
});
const BELOW = 4_000;
const PRIMES = 550;
const IN_FLIGHT = 32;

function countPrimes(below: number): number {
  let primes = 0;
  for (let n = 2; n < below; n++) {
    let d = 2;
    while (d * d <= n && n % d !== 0) d++;
    if (d * d > n) primes++;
  }
  return primes;
}

/** A server, as a process of its own: lives until the process that started it is gone. */
async function serve(center: string, id: string): Promise<void> {
  await using server = new Server({ center, id });
  server.handle(Primes, { count: ({ below }) => ({ primes: countPrimes(below), by: id }) });
  await server.listen();
  console.log(server.endpoint);
  for await (const _ of Deno.stdin.readable);
}

/** Starts one and waits until it is registered. */
async function start(center: string, id: string): Promise<Deno.ChildProcess> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.url, "serve", center, id],
    stdin: "piped",
    stdout: "piped",
  });
  const process = command.spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  return process;
}

/** Calls for so long. Gives how many calls were answered, by which server. */
async function callFor(ms: number, client: Client): Promise<Map<string, number>> {
  const primes = client.service(Primes);
  const calls = new Map<string, number>();
  const end = performance.now() + ms;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (performance.now() < end) {
      const { primes: count, by } = await primes.count({ below: BELOW });
      if (count !== PRIMES) throw new Error(`Server ${by} counts ${count} primes instead of ${PRIMES}`);
      calls.set(by, (calls.get(by) ?? 0) + 1);
    }
  }));
  return calls;
}

async function main(most: number, ms: number): Promise<void> {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using children = new AsyncDisposableStack();
  await using client = new Client({ center: center.endpoint, balancer: leastLoaded() });

  console.log(`${navigator.hardwareConcurrency} cores; ${IN_FLIGHT} calls in flight, ${ms} ms for each row\n`);
  console.log("servers   calls/s   × one server   share of each");
  let one = 0;
  for (let servers = 1; servers <= most; servers++) {
    children.use(await start(center.endpoint, `s${servers}`));
    await callFor(ms / 5, client); // until the new one is known and warm
    const calls = [...(await callFor(ms, client)).values()];
    const rate = calls.reduce((sum, count) => sum + count, 0) / ms * 1_000;
    one ||= rate;
    const shares = calls.map((count) => `${Math.round(count / rate / ms * 100_000)} %`).join("  ");
    const cells = [String(servers).padStart(7), rate.toFixed(0).padStart(9), (rate / one).toFixed(2).padStart(14)];
    console.log(`${cells.join(" ")}   ${shares}`);
  }
}

const [first, ...rest] = Deno.args;
if (first === "serve") await serve(rest[0], rest[1]);
else await main(Number(first ?? 4), Number(rest[0] ?? 2_000));
