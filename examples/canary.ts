/**
 * A new version comes in steps: a routing rule in the center sends 0, 10, 50 and 100 of a hundred users to it, while they go on
 * calling. A user who has seen the new version stays with it.
 *
 *     deno run -A examples/canary.ts
 */
import { Center, Client, Server } from "@erpc/erpc";

await using center = new Center();
await center.listen("tcp://127.0.0.1:0");
await using servers = new AsyncDisposableStack();

async function start(id: string, version: string): Promise<void> {
  const server = servers.use(new Server({ center: center.endpoint, id, version }));
  server.handle("demo.version", () => version);
  await server.listen();
}

/** Changes the rule, and waits until the client goes by it. `erpc route set` does the same from a terminal. */
async function shift(percent: number): Promise<void> {
  const version = center.rules.set({
    name: "canary",
    service: "demo",
    to: [{ percent, version: "2.0" }, { percent: 100 - percent, version: "1.0" }],
    otherwise: "all",
  });
  while (client.stats().rules.version < version) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Each user calls once. */
async function ask(): Promise<string[]> {
  return await Promise.all(users.map((hashKey) => client.call("demo.version", undefined, { hashKey })));
}

function printRow(...cells: unknown[]): void {
  console.log(cells.map((cell) => String(cell).padStart(14)).join(""));
}

await start("ada", "1.0");
await start("ben", "1.0");
await start("cyd", "2.0");
await using client = new Client({ center: center.endpoint });
const users = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
await client.call("demo.version"); // from now on it follows the rules

let before: string[] = [];
printRow("share of 2.0", "calls to 1.0", "calls to 2.0", "went forward", "went back");
for (const percent of [0, 10, 50, 100]) {
  await shift(percent);
  const answers = await ask();
  const count = (version: string) => answers.filter((answer) => answer === version).length;
  const moved = (from: string, to: string) => answers.filter((answer, i) => before[i] === from && answer === to).length;
  printRow(`${percent} %`, count("1.0"), count("2.0"), moved("1.0", "2.0"), moved("2.0", "1.0"));
  before = answers;
}
