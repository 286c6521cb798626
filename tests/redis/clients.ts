/** The usual clients of Redis, each as its own documentation makes it. */
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { ioredis, nodeRedis, type RedisClient, redisClient } from "../../src/redis/redis.ts";

/** A client that is connected. Whoever opens one closes it. */
export interface OpenClient {
  readonly client: RedisClient;
  close(): void;
}

function ignore(): void {}

/** Makes a client by the name of its package and its major version. */
export const CLIENTS: Readonly<Record<string, (port: number) => Promise<OpenClient>>> = {
  "its own client"(port) {
    const client = redisClient(`redis://127.0.0.1:${port}`);
    return Promise.resolve({ client, close: client.close });
  },
  async "node-redis 6"(port) {
    const client = createClient({ socket: { host: "127.0.0.1", port } });
    client.on("error", ignore);
    await client.connect();
    return { client: nodeRedis(client), close: () => client.destroy() };
  },
  async "node-redis 6 with RESP3"(port) {
    const client = createClient({ socket: { host: "127.0.0.1", port }, RESP: 3 });
    client.on("error", ignore);
    await client.connect();
    return { client: nodeRedis(client), close: () => client.destroy() };
  },
  async "node-redis 5"(port) {
    const client = createClient5({ socket: { host: "127.0.0.1", port } });
    client.on("error", ignore);
    await client.connect();
    return { client: nodeRedis(client), close: () => client.destroy() };
  },
  "ioredis 6"(port) {
    const client = new Redis({ host: "127.0.0.1", port });
    client.on("error", ignore);
    return Promise.resolve({ client: ioredis(client), close: () => client.disconnect() });
  },
  "ioredis 5"(port) {
    const client = new Redis5({ host: "127.0.0.1", port });
    client.on("error", ignore);
    return Promise.resolve({ client: ioredis(client), close: () => client.disconnect() });
  },
  "iovalkey"(port) {
    const client = new Valkey({ host: "127.0.0.1", port });
    client.on("error", ignore);
    return Promise.resolve({ client: ioredis(client), close: () => client.disconnect() });
  },
};
