import { Buffer } from "node:buffer";
import { textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Registry } from "../registry/registry.ts";
import { checked, UsageError } from "./args.ts";
import { suggest } from "../core/suggest.ts";

/** A store that a center stands before. */
export interface OpenStore {
  readonly registry: Registry;
  /** Lets go of it, so that what is listed in it stays. */
  leave(): Promise<void>;
}

/** Not written where it is imported: whoever installs the package would have to install it too. */
const ZOOKEEPER_CLIENT = "npm:node-zookeeper-client@1.1.3";
const SESSION_MS = 15_000;

interface Address {
  readonly scheme: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly string[];
  /** What comes behind the hosts, without its slash. */
  readonly rest: string;
}

type Opener = (address: Address, text: string, logger: Logger) => Promise<OpenStore>;

const OPENERS: ReadonlyMap<string, Opener> = new Map<string, Opener>([
  ["etcd", openEtcd],
  ["etcds", openEtcd],
  ["redis", openRedis],
  ["rediss", openRedis],
  ["zookeeper", openZooKeeper],
]);

/** Opens a store by its URL. @throws {UsageError} when it is none */
export async function openStore(text: string, logger: Logger): Promise<OpenStore> {
  const match = /^([a-z]+):\/\/(?:([^/@:]*)(?::([^/@]*))?@)?([^/@]+)(?:\/(.*))?$/.exec(text);
  const [, scheme, user, password, hosts, rest = ""] = match ?? [];
  const opener = OPENERS.get(scheme);
  if (match === null || opener === undefined) {
    const meant = scheme === undefined ? undefined : suggest(scheme, OPENERS.keys());
    const known = "write it as etcd://host:2379/prefix, redis://host:6379/database or zookeeper://host:2181/path";
    throw new UsageError(
      `Cannot use store "${hidden(text)}": ${meant === undefined ? known : `did you mean "${meant}://"?`}`,
    );
  }
  const plain = (part: string | undefined) => part === undefined ? undefined : checked(() => decode(part));
  const address = { scheme, user: plain(user), password: plain(password), hosts: hosts.split(","), rest };
  return await opener(address, text, logger);
}

async function openEtcd(
  { scheme, user, password, hosts, rest }: Address,
  _: string,
  logger: Logger,
): Promise<OpenStore> {
  const { etcdRegistry } = await import("../etcd/etcd.ts");
  const endpoints = hosts.map((host) => `${scheme === "etcds" ? "https" : "http"}://${host}`);
  const prefix = rest === "" ? undefined : `/${rest}`;
  const registry = checked(() => etcdRegistry({ endpoints, username: user, password, prefix, logger }));
  return { registry, leave: () => registry.close() };
}

async function openRedis({ hosts }: Address, text: string, logger: Logger): Promise<OpenStore> {
  const { redisClient, redisRegistry } = await import("../redis/redis.ts");
  if (hosts.length > 1) throw new UsageError(`Cannot use store "${hidden(text)}": Redis is asked at one address`);
  const client = checked(() => redisClient(text));
  const registry = redisRegistry({ client, logger });
  return {
    registry,
    async leave() {
      await registry.close();
      client.close();
    },
  };
}

async function openZooKeeper({ user, password, hosts, rest }: Address, _: string, logger: Logger): Promise<OpenStore> {
  const { zookeeperRegistry } = await import("../zookeeper/zookeeper.ts");
  const { default: zookeeper } = await import(ZOOKEEPER_CLIENT).catch((error) => {
    throw new UsageError(
      `Cannot use ZooKeeper: its client, ${ZOOKEEPER_CLIENT}, can't be had (${textOf(error).split("\n")[0]}). ` +
        "Run where npm can be reached, or once before with the same DENO_DIR",
    );
  });
  const client = () => {
    const made = zookeeper.createClient(hosts.join(), { sessionTimeout: SESSION_MS });
    if (user !== undefined) {
      made.addAuthInfo("digest", Buffer.from(`${user}:${password ?? ""}`));
    }
    return made;
  };
  const path = rest === "" ? undefined : `/${rest}`;
  const registry = checked(() => zookeeperRegistry({ client, path, logger }));
  // Its session is left to run out: until then another center, or this one started again, takes over what it has listed.
  return { registry, leave: () => Promise.resolve() };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not what it is: it may be most of a password.
    throw new TypeError("Cannot read the user or the password in the store's URL: its percent signs stand for nothing");
  }
}

/** A URL that may be shown. */
function hidden(text: string): string {
  return text.replace(/\/\/.*@/, "//…@");
}
