/**
 * A method that computes for long, in the server's own thread and in a worker: what becomes of another call meanwhile.
 *
 *     deno run -A examples/worker.ts
 */
import { Client, RpcError, Server } from "@erpc/erpc";
import { WorkerPool } from "@erpc/erpc/worker";
import { countPrimes, Primes } from "./worker/contract.ts";

const BELOW = 3_000_000;

await using pool = new WorkerPool(new URL("./worker/primes_worker.ts", import.meta.url), { size: 1 });
await using server = new Server();
server.handle(Primes, {
  here: ({ below }) => countPrimes(below),
  there: pool.method(Primes, "there"),
});
server.handle("demo.ping", () => "pong");
await server.listen();
await using client = new Client({ endpoints: [server.endpoint] });
const primes = client.service(Primes);

/** Calls `demo.ping`, one after the other, until something has ended. */
async function pingUntil(ended: Promise<unknown>): Promise<{ pings: number; longestMs: number }> {
  let over = false;
  void ended.finally(() => over = true);
  let pings = 0;
  let longestMs = 0;
  for (; !over; pings++) {
    const startedAt = performance.now();
    await client.call("demo.ping");
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  }
  return { pings, longestMs };
}

await primes.there({ below: 10 }); // the worker has started
console.log(`primes below ${BELOW}`.padEnd(24) + "pings meanwhile".padStart(16) + "longest wait".padStart(16));
for (const [label, method] of [["in the server's thread", primes.here], ["in a worker", primes.there]] as const) {
  const { pings, longestMs } = await pingUntil(method({ below: BELOW }, { timeoutMs: 60_000 }));
  console.log(label.padEnd(24) + String(pings).padStart(16) + `${longestMs.toFixed(0)} ms`.padStart(16));
}

// In a worker a deadline holds even for what never looks at it: the worker is ended, and another takes its place.
try {
  await primes.there({ below: Number.MAX_SAFE_INTEGER }, { timeoutMs: 200 });
} catch (error) {
  if (!(error instanceof RpcError)) throw error;
  console.log(`\nprimes below ${Number.MAX_SAFE_INTEGER}: ${error.code}`);
}
console.log(`primes below 100: ${await primes.there({ below: 100 })}`);
