/** Several centers as processes, which are killed while calls go on. */
import { assertEquals } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { until } from "../support/until.ts";
import { CenterProcess } from "./processes.ts";

const IN_FLIGHT = 64;

async function startServer(id: string, center: string[]): Promise<Server> {
  const server = new Server({ id, center, beatMs: 1_500 });
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
    centers[at] = await CenterProcess.start({ endpoint: endpoints[at] });
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
