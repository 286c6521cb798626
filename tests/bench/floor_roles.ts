/** The small unary call over the bare floor, as roles of the bench: one server, and a client of as many as there are. */
import { callAway, serveAway } from "./contest.ts";
import { FloorClient, FloorServer } from "./floor.ts";
import { assertGreeting, REQUEST } from "./greeter.ts";

/** Answers it. */
export async function serveFloor(): Promise<void> {
  const server = new FloorServer((request) => ({ msg: `hello ${(request as { name: string }).name}` }));
  await serveAway(String(server.port), () => server.writes);
  server.close();
}

/** Makes it again and again, on one server after the other. */
export async function callFloor(...ports: string[]): Promise<void> {
  const clients = await Promise.all(ports.map((port) => FloorClient.connect(Number(port))));
  for (const client of clients) assertGreeting(await client.call(REQUEST));
  let next = 0;
  await callAway(
    () => clients[next++ % clients.length].call(REQUEST),
    () => clients.reduce((sum, { writes }) => sum + writes, 0),
  );
  for (const client of clients) await client.close();
}
