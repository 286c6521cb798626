/**
 * A registry in etcd 3.4 or newer, over `fetch` on its JSON gateway: no client to install.
 *
 * ```ts ignore
 * import { Client, Server } from "@erpc/erpc";
 * import { etcdRegistry } from "@erpc/erpc/etcd";
 *
 * await using registry = etcdRegistry({ endpoints: ["http://10.0.0.1:2379", "http://10.0.0.2:2379"] });
 * await using server = new Server({ registry });
 * await using client = new Client({ registry });
 * ```
 *
 * ## Where things stand
 *
 * | key, behind the prefix | value                                                       | lease                  |
 * | ---------------------- | ----------------------------------------------------------- | ---------------------- |
 * | `instances/<id>`       | `{"instance": {…}, "ttlMs": 15000}`, JSON                   | one for each instance  |
 * | `farewells/<id>`       | why it left: `deregistered`, `drained`, `fenced` or `admin` | the same               |
 * | `epoch`                | any text; only that it is there matters                     | none                   |
 *
 * `instance` has the members of `Instance`: `id`, `incarnation`, `endpoints`, `services`, `zone`, `weight`, `version`,
 * `metadata`; beside it stands `owner` where the instance belongs to somebody. Who puts an instance compares the revision of its key in the same transaction, having seen that no newer
 * incarnation is there. Who takes one away deletes its key and puts the farewell in one transaction, and then revokes the lease,
 * which takes the farewell too. An instance whose key goes without a farewell has expired. A lease in seconds is `ttlMs` rounded
 * up; etcd makes 2 s of everything shorter.
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
import { EtcdStore } from "./etcd_store.ts";
import { type Fetch, Gateway } from "./gateway.ts";

export { StoreRegistry };
export type { Fetch, StoreRegistryOptions, StoreState };

/** How a registry in etcd works. */
export interface EtcdRegistryOptions extends StoreRegistryOptions {
  /** URLs of members of one cluster, such as `http://127.0.0.1:2379`. The first that answers is stayed with until it fails. */
  endpoints: readonly string[];
  /** What all keys begin with, and nobody else's do. Default `/erpc/`. */
  prefix?: string;
  /** Who logs in, where etcd asks. A user needs to read and write below the prefix; one who only looks up, to read. */
  username?: string;
  /** What proves it. */
  password?: string;
  /**
   * How requests are made. Default: the global `fetch`. Here is where certificates go:
   * `const client = Deno.createHttpClient({ caCerts, cert, key }); … fetch: (url, init) => fetch(url, { ...init, client })`.
   */
  fetch?: Fetch;
}

/**
 * A registry in etcd. It does nothing before it is used, and mirrors what is listed as soon as something is looked up or watched.
 * Whoever makes one closes it.
 *
 * @throws {TypeError} {RangeError} when an option can't be used
 */
export function etcdRegistry(options: EtcdRegistryOptions): StoreRegistry {
  const { endpoints, prefix = "/erpc/", username, password, fetch = globalThis.fetch, ...rest } = options;
  const { timeoutMs, platform, logger } = withDefaults<CheckedStoreRegistryOptions>(DEFAULT_STORE_REGISTRY, rest);
  if (!Array.isArray(endpoints) || endpoints.length === 0) {
    throw new TypeError("Cannot use etcd: the list of endpoints is empty");
  }
  if (typeof prefix !== "string" || prefix === "") throw new TypeError("Cannot use etcd: the prefix is empty");
  if ((username === undefined) !== (password === undefined)) {
    throw new TypeError("Cannot use etcd: give both or none of username and password");
  }
  const user = username === undefined ? undefined : { name: username, password: password! };
  const gateway = new Gateway({ endpoints: endpoints.map(checkEndpoint), user, timeoutMs, fetch, platform });
  const withSlash = prefix.endsWith("/") ? prefix : `${prefix}/`;
  return new StoreRegistry(new EtcdStore(gateway, withSlash, platform, logger), rest);
}

function checkEndpoint(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (
    url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "" || url.username !== ""
  ) {
    throw new TypeError(`Cannot use etcd at "${endpoint}": it must be a URL such as "http://127.0.0.1:2379"`);
  }
  return url.origin;
}
