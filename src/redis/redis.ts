/**
 * A registry in Redis 6.2 or newer, or Valkey, over a client of yours: {@link nodeRedis} and {@link ioredis} take the usual ones,
 * and {@link redisClient} is one for those who have none.
 *
 * ```ts ignore
 * import { Server } from "@erpc/erpc";
 * import { redisClient, redisRegistry } from "@erpc/erpc/redis";
 *
 * const client = redisClient("redis://10.0.0.1:6379");
 * await using registry = redisRegistry({ client });
 * await using server = new Server({ registry });
 * ```
 *
 * Redis must not throw keys away for want of memory (`maxmemory-policy noeviction`). What a replica has not got yet when its
 * master fails is lost with that: then servers register again, and nobody is evicted meanwhile.
 *
 * ## Where things stand
 *
 * | key, behind the prefix | type, content                                                                              |
 * | ---------------------- | ------------------------------------------------------------------------------------------ |
 * | `:instance:<id>`       | hash that expires with the lease: `incarnation`, `token`, `ttlMs`, `owner`, and `entry` as below     |
 * | `:deadlines`           | sorted set of the ids, by when their leases run out in milliseconds of Redis's clock        |
 * | `:number`              | how many changes there have been                                                           |
 * | `:changes`             | stream of the last changes: `number`, `kind` (`put`, `removed`), `id`; `token` and `entry`, or `cause` |
 * | `:epoch`, `:new`       | signs that somebody has been here, and not long ago                                                    |
 *
 * `entry` is `{"instance": {…}, "ttlMs": 15000}` in JSON, where `instance` has the members of `Instance`: `id`, `incarnation`,
 * `endpoints`, `services`, `zone`, `weight`, `version`, `metadata`. Only scripts write, so that an older incarnation never
 * replaces a newer one; whoever follows removes those whose time is over, once a second.
 *
 * @module
 */
import { withDefaults } from "../core/options.ts";
import {
  type CheckedStoreRegistryOptions,
  DEFAULT_STORE_REGISTRY,
  StoreRegistry,
  type StoreRegistryOptions,
  type StoreState,
} from "../store/store_registry.ts";
import type { RedisClient } from "./client.ts";
import { RedisStore } from "./redis_store.ts";

export { ioredis, nodeRedis } from "./client.ts";
export type { IoredisClient, NodeRedisClient, RedisClient, RedisConnection } from "./client.ts";
export { redisClient } from "./own_client.ts";
export type { RedisClientOptions } from "./own_client.ts";
export { StoreRegistry };
export type { StoreRegistryOptions, StoreState };

/** How a registry in Redis works. */
export interface RedisRegistryOptions extends StoreRegistryOptions {
  /** What speaks to Redis: {@link redisClient}, or {@link nodeRedis} or {@link ioredis} of a client. It stays yours to close. */
  client: RedisClient;
  /** What all keys begin with. Default `{erpc}`: with the braces a Redis Cluster keeps them in one place, as it must. */
  prefix?: string;
}

/**
 * A registry in Redis. It does nothing before it is used; when something is looked up or watched, it opens a second connection
 * and mirrors what is listed. Whoever makes one closes it.
 *
 * @throws {TypeError} {RangeError} when an option can't be used
 */
export function redisRegistry(options: RedisRegistryOptions): StoreRegistry {
  const { client, prefix = "{erpc}", ...rest } = options;
  const { timeoutMs, historyLimit, platform, logger } = withDefaults<CheckedStoreRegistryOptions>(
    DEFAULT_STORE_REGISTRY,
    rest,
  );
  if (typeof client?.send !== "function" || typeof client.open !== "function") {
    throw new TypeError(
      "Cannot use Redis: the client must be redisClient(…), nodeRedis(…), ioredis(…), or have send and open",
    );
  }
  if (typeof prefix !== "string" || prefix === "") throw new TypeError("Cannot use Redis: the prefix is empty");
  return new StoreRegistry(new RedisStore(client, { prefix, timeoutMs, historyLimit, platform, logger }), rest);
}
