/**
 * What hedging does to the slowest answers: three servers, each of which now and then takes 150 ms instead of 2.
 *
 *     deno run -A examples/hedge.ts [calls]
 */
import { Client, Server, service, unary } from "@erpc/erpc";

const Slow = service("demo.Slow", {
  answer: unary<Record<string, never>, string>({ idempotent: true }),
});

const calls = Number(Deno.args[0] ?? 4_000);
const IN_FLIGHT = 16;

let runs = 0;
const servers: Server[] = [];
for (let i = 0; i < 3; i++) {
  const server = new Server();
  server.handle(Slow, {
    async answer() {
      runs++;
      const ms = Math.random() < 0.03 ? 150 : 2;
      await new Promise((resolve) => setTimeout(resolve, ms));
      return "here";
    },
  });
  await server.listen();
  servers.push(server);
}
const endpoints = servers.map((server) => server.endpoint);

/** Makes the calls, so many at once, and prints how long they took. */
async function measure(name: string, client: Client): Promise<void> {
  const slow = client.service(Slow);
  // The percentile is gone by once enough answers have come.
  for (let i = 0; i < 100; i++) await slow.answer({});
  runs = 0;
  const times: number[] = [];
  let left = calls;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) {
      const from = performance.now();
      await slow.answer({});
      times.push(performance.now() - from);
    }
  }));
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))].toFixed(1);
  const { callsHedged, hedgesWon } = client.stats().counters;
  const columns = [at(0.5), at(0.99), at(0.999), callsHedged, hedgesWon, `${(100 * runs / calls - 100).toFixed(1)} %`];
  console.log(name.padEnd(8) + columns.map((column) => String(column).padStart(10)).join(""));
}

console.log(
  " ".repeat(8) + ["p50 ms", "p99 ms", "p99.9 ms", "hedges", "won", "more work"].map((h) => h.padStart(10)).join(""),
);
{
  await using client = new Client({ endpoints });
  await measure("without", client);
}
{
  await using client = new Client({ endpoints, hedge: {} });
  await measure("with", client);
}
for (const server of servers) await server.close();
