/**
 * Calls stay near: six servers in three zones of two regions, and a client in one of them. While the two servers beside it have
 * room, they get every call; what they have no room for goes to the zone next door, and only then to the other region.
 *
 *     deno run -A examples/zones.ts [calls]
 */
import { byZone, Center, Client, roundRobin, Server } from "@erpc/erpc";

const HOME = "eu-west/a";
const ZONES = [HOME, "eu-west/b", "us-east/a"];
const calls = Number(Deno.args[0] ?? 400);

await using center = new Center();
await center.listen("tcp://127.0.0.1:0");
await using servers = new AsyncDisposableStack();
const home: Server[] = [];
for (const zone of [...ZONES, ...ZONES]) {
  const server = servers.use(new Server({ center: center.endpoint, zone }));
  server.handle("demo.where", async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return zone;
  });
  await server.listen();
  if (zone === HOME) home.push(server);
}

/** Makes the calls, so many at once, and prints where they were answered. */
async function measure(what: string, client: Client, atOnce: number): Promise<void> {
  const answered = new Map<string, number>();
  let left = calls;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) {
      const zone = await client.call("demo.where").catch(({ code }) => code);
      answered.set(zone, (answered.get(zone) ?? 0) + 1);
    }
  }));
  row(what, atOnce, ...[...ZONES, "unavailable"].map((zone) => answered.get(zone) ?? 0));
}

function row(what: string, ...cells: unknown[]): void {
  console.log(what.padEnd(20) + cells.map((cell) => String(cell).padStart(12)).join(""));
}

// Servers that limit how many calls they let run say so with their replies; of these here the client is told.
const maxInFlight = 8;
await using near = new Client({ center: center.endpoint, zone: HOME, balancer: byZone(roundRobin(), { maxInFlight }) });
const strictly = byZone(roundRobin(), { maxInFlight, strict: true });
await using strict = new Client({ center: center.endpoint, zone: HOME, balancer: strictly });
await using anywhere = new Client({ center: center.endpoint, zone: HOME });

row("a client there", "at once", ...ZONES, "nowhere");
await measure("round robin", anywhere, 8);
for (const atOnce of [8, 24, 40]) await measure("by zone", near, atOnce);
await measure("by zone, strict", strict, 40);
await Promise.all(home.map((server) => server.drain()));
console.log("\nThe two servers of the client's own zone are gone");
await measure("by zone", near, 8);
await measure("by zone, strict", strict, 8);
