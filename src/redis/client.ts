/** What is used of a Redis client, and the clients that are known to have it. */

/** A connection to Redis, of which the registry makes commands of its own. */
export interface RedisConnection {
  /**
   * Sends one command and resolves with its reply: texts as strings, numbers as numbers, lists as arrays, nothing as `null`.
   * Rejects with what Redis answered, or when it can't be reached.
   */
  send(command: readonly string[]): Promise<unknown>;
}

/** A Redis client, as the registry wants it. {@link nodeRedis} and {@link ioredis} make one of the usual clients. */
export interface RedisClient extends RedisConnection {
  /** Opens another connection to the same server, for commands that block it. What is sent before it is there waits for it. */
  open(): RedisConnection & { close(): void };
}

/** What is used of a client of the package `redis` 5 or 6 (node-redis). */
export interface NodeRedisClient {
  /** Sends a command. */
  sendCommand(command: string[]): Promise<unknown>;
  /** Makes another client like this one, which is not connected. */
  duplicate(): NodeRedisClient;
  /** Connects it. */
  connect(): Promise<unknown>;
  /** Ends it at once. */
  destroy(): void;
  /** Listens; without a listener of errors, one that is lost ends the process. */
  on(event: "error", listener: (error: unknown) => void): unknown;
}

/** What is used of a client of the packages `ioredis` 5 or 6 and `iovalkey`. */
export interface IoredisClient {
  /** Sends a command. */
  call(command: string, ...rest: string[]): Promise<unknown>;
  /** Makes another client like this one, which connects by itself. */
  duplicate(): IoredisClient;
  /** Ends it at once. */
  disconnect(): void;
  /** Listens; without a listener, errors are printed. */
  on(event: "error", listener: (error: unknown) => void): unknown;
}

function ignore(): void {}

/** Takes a client of the package `redis` (node-redis), which its owner has connected and listens to for errors. */
export function nodeRedis(client: NodeRedisClient): RedisClient {
  return {
    send: (command) => client.sendCommand([...command]),
    open() {
      const other = client.duplicate();
      other.on("error", ignore);
      // It tries until it is there, or ended.
      other.connect().catch(ignore);
      return { send: (command) => other.sendCommand([...command]), close: () => other.destroy() };
    },
  };
}

/** Takes a client of the package `ioredis`, or of `iovalkey`. */
export function ioredis(client: IoredisClient): RedisClient {
  const sender = (to: IoredisClient) => ([name, ...rest]: readonly string[]) => to.call(name, ...rest);
  return {
    send: sender(client),
    open() {
      const other = client.duplicate();
      other.on("error", ignore);
      return { send: sender(other), close: () => other.disconnect() };
    },
  };
}
