/**
 * A registry in ZooKeeper 3.5 or newer, over a client of yours such as `node-zookeeper-client` 1.1.
 *
 * ```ts ignore
 * import zookeeper from "npm:node-zookeeper-client@1.1.3";
 * import { Server } from "@erpc/erpc";
 * import { zookeeperRegistry } from "@erpc/erpc/zookeeper";
 *
 * const client = () => zookeeper.createClient("10.0.0.1:2181,10.0.0.2:2181", { sessionTimeout: 15_000 });
 * await using registry = zookeeperRegistry({ client });
 * await using server = new Server({ registry });
 * ```
 *
 * An instance is listed as long as the session that registered it lasts: the process's own, or that of a center. When a process
 * dies, that is the client's session timeout, whatever the lease says. A center renews leases in its memory; when it dies, the
 * other centers with which the same servers are registered take over what they have renewed. So have two centers, or let servers
 * use the registry themselves.
 *
 * ## Where things stand
 *
 * | node, below the path                      | kind                 | data                                                        |
 * | ----------------------------------------- | -------------------- | ----------------------------------------------------------- |
 * | `instances/<id>;<incarnation>;<sequence>` | ephemeral sequential | `{"instance": {…}, "ttlMs": 15000, "token": "…"}`, JSON     |
 * | `claims/<id>`                             | ephemeral            | nothing; made and removed together with the instance's node |
 * | `farewells/<name of that node>`           | persistent           | why it left: `deregistered`, `drained`, `fenced` or `admin` |
 * | `epoch`                                   | persistent           | any text; only that it is there, and the same, matters      |
 *
 * `<id>` is encoded as in a URL, dots too (`%2E`). `instance` has the members of `Instance`: `id`, `incarnation`, `endpoints`,
 * `services`, `zone`, `weight`, `version`, `metadata`. Nodes are never changed: who registers removes those of the same id, which must
 * be no newer and nobody else's, and makes a new one with its claim, in one transaction: so of several who do it at once one is
 * first, and the others see what has become of it. Where there are several of one id nevertheless, the highest incarnation counts,
 * and of those that are the same the highest sequence. Who takes an instance away makes the farewell of its node first; an instance whose node goes
 * without one has expired. A farewell is removed a minute after it was read.
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
import type { ZooKeeperCallback, ZooKeeperClient, ZooKeeperTransaction } from "./client.ts";
import { ZooKeeperStore } from "./zookeeper_store.ts";

export { StoreRegistry };
export type { StoreRegistryOptions, StoreState, ZooKeeperCallback, ZooKeeperClient, ZooKeeperTransaction };

/** How a registry in ZooKeeper works. */
export interface ZooKeeperRegistryOptions extends StoreRegistryOptions {
  /**
   * Makes a client that is not connected yet: at first, and again whenever a session is over. The registry connects and closes
   * them.
   */
  client: () => ZooKeeperClient;
  /** The node below which everything stands. Default `/erpc`. */
  path?: string;
  /** Who may do what with the nodes, as the client's own `ACL`s. Default: the client's default, which is everybody everything. */
  acl?: readonly unknown[];
}

/**
 * A registry in ZooKeeper. It does nothing before it is used, and mirrors what is listed as soon as something is looked up or
 * watched. Whoever makes one closes it, which ends its session: what was registered through it is gone then.
 *
 * @throws {TypeError} {RangeError} when an option can't be used
 */
export function zookeeperRegistry(options: ZooKeeperRegistryOptions): StoreRegistry {
  const { client, path = "/erpc", acl, ...rest } = options;
  const { timeoutMs, platform, logger } = withDefaults<CheckedStoreRegistryOptions>(DEFAULT_STORE_REGISTRY, rest);
  if (typeof client !== "function") {
    throw new TypeError("Cannot use ZooKeeper: the client must be a function that makes one");
  }
  if (typeof path !== "string" || !/^(\/[^/\0]+)+$/.test(path)) {
    throw new TypeError(`Cannot use ZooKeeper below ${JSON.stringify(path)}: it must be a path such as "/erpc"`);
  }
  if (acl !== undefined && !Array.isArray(acl)) throw new TypeError("Cannot use ZooKeeper: the acl must be a list");
  return new StoreRegistry(new ZooKeeperStore({ client, path, acl, timeoutMs, platform, logger }), rest);
}
