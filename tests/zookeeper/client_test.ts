import { assertEquals } from "@std/assert";
import { startZooKeeper, storeTest } from "../support/stores.ts";
import { createClient, expire } from "./client.ts";

// The client leaves timers and sockets behind for a while when it is closed.
storeTest("ZooKeeper", "expire ends a session, and resolves as well when it is over already", async () => {
  await using server = await startZooKeeper();
  const client = createClient(server.port);
  const connected = Promise.withResolvers<void>();
  const expired = Promise.withResolvers<void>();
  client.once("connected", connected.resolve);
  client.once("expired", expired.resolve);
  client.connect();
  await connected.promise;
  assertEquals(await expire(client, server.port), true);
  await expired.promise;
  assertEquals(await expire(client, server.port), false);
}, { sanitize: false });
