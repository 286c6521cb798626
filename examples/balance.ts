/**
 * Who is called next: three servers under three balancers, and what becomes of the keys of consistent hashing when a
 * fourth server joins.
 *
 *     deno run -A examples/balance.ts
 */
import { type Balancer, Center, Client, consistentHash, random, roundRobin, Server } from "@erpc/erpc";

await using center = new Center();
await center.listen("tcp://127.0.0.1:0");
await using servers = new AsyncDisposableStack();

async function join(id: string): Promise<void> {
  const server = servers.use(new Server({ center: center.endpoint, id }));
  server.handle("demo.who", () => id);
  await server.listen();
}

/** Calls once with each key, through a client of its own, and gives the names of those who answered. */
async function ask(balancer: Balancer, keys: readonly string[]): Promise<string[]> {
  await using client = new Client({ center: center.endpoint, balancer });
  return await Promise.all(keys.map((hashKey) => client.call("demo.who", undefined, { hashKey })));
}

function printRow(label: string, cells: readonly unknown[]): void {
  console.log(label.padEnd(16) + cells.map((cell) => String(cell).padStart(8)).join(""));
}

const three = ["ada", "ben", "cyd"];
for (const id of three) await join(id);

const users = Array.from({ length: 600 }, (_, i) => `user-${i}`);
printRow("600 calls", three);
for (const balancer of [random(), roundRobin(), consistentHash()]) {
  const answers = await ask(balancer, users);
  printRow(balancer.name, three.map((id) => answers.filter((answer) => answer === id).length));
}

// Each time a new client: all of them agree on where a key belongs, and nobody has to tell them.
const keys = ["red", "green", "blue", "black", "white"];
const before = await ask(consistentHash(), keys);
await join("dan");
const after = await ask(consistentHash(), keys);

console.log();
printRow("hash key", keys);
printRow("three servers", before);
printRow("with dan", after);
