/** Centers as processes, which are killed and paused while calls go on. */
import { assert, assertEquals } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { until } from "../support/until.ts";
import { CenterProcess } from "./processes.ts";

const IN_FLIGHT = 64;

async function startServer(id: string, center: string[], ttlMs = 15_000): Promise<Server> {
  const server = new Server({ id, center, ttlMs, beatMs: ttlMs / 10 });
  server.handle("who.am", () => id);
  await server.listen();
  return server;
}

/** Keeps calls in flight, and notes what fails and how few instances the client knew at times. */
function keepCalling(client: Client) {
  const seen = { answered: 0, failures: [] as string[], fewest: Infinity, ended: false };
  const callers = Array.from({ length: IN_FLIGHT }, async () => {
    while (!seen.ended) {
      await client.call("who.am").then(() => seen.answered++, (error) => seen.failures.push(String(error)));
      seen.fewest = Math.min(seen.fewest, client.stats().services[0].instances.length);
    }
  });
  return {
    seen,
    /** Waits until so many more calls were answered. */
    async more(count: number): Promise<void> {
      const enough = seen.answered + count;
      await until(() => seen.answered >= enough || seen.failures.length > 0);
    },
    async end(): Promise<void> {
      seen.ended = true;
      await Promise.all(callers);
    },
  };
}

/** Waits until calls go over to all servers, so that no later count begins with fewer. */
async function meetAll(client: Client, count: number): Promise<void> {
  await client.call("who.am");
  await until(() => client.stats().services[0].instances.length === count);
}

Deno.test("X6 X7 kill -9 of the center under 64 calls in flight, none fails; a new one at its address has everybody back", async () => {
  let center = await CenterProcess.start();
  const { endpoint } = center;
  const servers = [await startServer("a", [endpoint]), await startServer("b", [endpoint])];
  await using client = new Client({ center: endpoint });
  await meetAll(client, 2);
  const calling = keepCalling(client);
  const service = () => client.stats().services[0];
  for (let round = 0; round < 2; round++) {
    await calling.more(1_000);
    center.kill("SIGKILL");
    await center[Symbol.asyncDispose]();
    await until(() => !service().watching);
    await calling.more(5_000);
    assertEquals(service().sources[0].instances, 2);
    center = await CenterProcess.start(endpoint);
    await until(() =>
      service().watching && servers.every(({ registration }) => registration.centers[0].failures === 0)
    );
    await calling.more(1_000);
  }
  await calling.end();
  assertEquals([calling.seen.failures, calling.seen.fewest], [[], 2]);
  for (const server of servers) await server.close();
  await center[Symbol.asyncDispose]();
});

Deno.test("X39 kill -9 of each of two centers in turn under 64 calls in flight, none fails, and a new server is found all the time", async () => {
  const centers = [await CenterProcess.start(), await CenterProcess.start()];
  const endpoints = centers.map(({ endpoint }) => endpoint);
  const servers = [await startServer("s0", endpoints)];
  await using client = new Client({ center: endpoints });
  await meetAll(client, 1);
  const calling = keepCalling(client);
  const sources = () => client.stats().services[0].sources;
  for (let round = 0; round < 4; round++) {
    const at = round % 2;
    centers[at].kill("SIGKILL");
    await centers[at][Symbol.asyncDispose]();
    await until(() => !sources()[at].watching);
    servers.push(await startServer(`s${round + 1}`, endpoints));
    await until(() => client.stats().services[0].instances.length === round + 2);
    await calling.more(500);
    centers[at] = await CenterProcess.start(endpoints[at]);
    await until(() => sources()[at].watching && sources()[at].instances === round + 2);
  }
  await calling.end();
  assertEquals(calling.seen.failures, []);
  // Those that have not found their way back to a center can't take leave of it.
  const isWell = ({ state, failures }: { state: string; failures: number }) => state === "registered" && failures === 0;
  await until(() => servers.every(({ registration }) => registration.centers.every(isWell)));
  const reports = await Promise.all(servers.map((server) => server.drain()));
  for (const report of reports) assertEquals(report.proven, true, JSON.stringify(report));
  for (const center of centers) await center[Symbol.asyncDispose]();
});

Deno.test("a center that stands still for longer than all leases last, and goes on, has evicted nobody", async () => {
  await using center = await CenterProcess.start();
  const servers: Server[] = [];
  for (const id of ["a", "b", "c"]) servers.push(await startServer(id, [center.endpoint], 1_500));
  await using client = new Client({ center: center.endpoint });
  await meetAll(client, 3);
  const calling = keepCalling(client);
  await center.pause();
  // By their own clocks, the servers can't tell any more whether they are listed.
  await until(() => servers.every(({ registration }) => registration.state === "registering"));
  center.kill("SIGCONT");
  await until(() => servers.every(({ registration }) => registration.state === "registered"));
  await calling.more(1_000);
  await calling.end();
  assertEquals([calling.seen.failures, calling.seen.fewest], [[], 3]);
  assert(client.stats().services[0].watching);
  for (const server of servers) await server.close();
});
