/** What is used of a ZooKeeper client: a part of what `node-zookeeper-client` 1.1 has. */

/** What comes back when something was done, or was not. */
export type ZooKeeperCallback<T extends unknown[]> = (
  error: (Error & { readonly code?: number }) | null | undefined,
  ...results: T
) => void;

/** Several changes, of which all are made or none. */
export interface ZooKeeperTransaction {
  /** Makes a node, as {@link ZooKeeperClient.create} does. */
  create(path: string, data: Uint8Array | undefined, acl: unknown[] | undefined, mode: number): unknown;
  /** Removes a node, whatever its version when that is −1. */
  remove(path: string, version: number): unknown;
  /** Makes them: gives what came of each, or the first error. */
  commit(callback: ZooKeeperCallback<[results: readonly { readonly path?: string }[]]>): void;
}

/** One session with an ensemble. It stays over reconnections, until it has expired or is closed. */
export interface ZooKeeperClient {
  /** Connects, and connects again whenever that is lost. */
  connect(): void;
  /** Ends the session, and with it its ephemeral nodes. */
  close(): void;
  /** How long the session lasts without a connection, in milliseconds, as the ensemble has decided. */
  getSessionTimeout(): number;
  /** Listens for what becomes of the session. */
  on(event: "connected" | "disconnected" | "expired" | "authenticationFailed", listener: () => void): unknown;
  /** Makes a node. Mode 0 is persistent, 1 ephemeral, 3 ephemeral with a number behind its name. */
  create(
    path: string,
    data: Uint8Array | undefined,
    acl: unknown[] | undefined,
    mode: number,
    callback: ZooKeeperCallback<[path: string]>,
  ): void;
  /** Removes a node, whatever its version when that is −1. */
  remove(path: string, version: number, callback: ZooKeeperCallback<[]>): void;
  /** Begins several changes that are made together. */
  transaction(): ZooKeeperTransaction;
  /** Reads a node. */
  getData(path: string, callback: ZooKeeperCallback<[data: Uint8Array | undefined, stat: unknown]>): void;
  /** Looks whether there is a node: gives its state, or `null`. */
  exists(path: string, callback: ZooKeeperCallback<[stat: unknown]>): void;
  /** Reads the names of a node's children, and once tells of a change in them. */
  getChildren(
    path: string,
    watcher: (event: unknown) => void,
    callback: ZooKeeperCallback<[names: string[], stat: unknown]>,
  ): void;
}
