/** A client of our own, for those who have none: it speaks RESP2 on one connection, which it makes when it is needed. */
import { textOf } from "../core/error.ts";
import { checkNames } from "../core/options.ts";
import { type Clock, runtimePlatform } from "../core/platform.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import { formatEndpoint } from "../transport/endpoint.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import { dialling, systemTransport, type Transport } from "../transport/transport.ts";
import type { RedisClient, RedisConnection } from "./client.ts";
import { RedisError, ReplyReader } from "./reply_reader.ts";

/** How the client of our own is made. */
export interface RedisClientOptions {
  /** For `rediss://`: whom to trust, and what to show. Default: whom the runtime trusts, nothing. */
  tls?: TlsClientOptions;
  /** Where to dial. Default: the system's sockets. */
  transport?: Transport;
  /** What its patience is timed with. Default: the runtime's clock. */
  clock?: Clock;
}

interface Target {
  readonly endpoint: string;
  readonly transport: Transport;
  readonly clock: Clock;
  /** What is sent first on every connection. */
  readonly greeting: readonly (readonly string[])[];
}

const READ_BYTES = 64 * 1024;
/** For so long, in milliseconds, Redis may say nothing while somebody waits for it: then the connection is lost. */
const SILENCE_MS = 10_000;
const encoder = new TextEncoder();

/**
 * A client for {@link redisRegistry} on one Redis, without a package: commands go in batches over one connection, which is made
 * when it is needed and again when it was lost. Whoever makes one closes it. For Sentinel or a cluster, hand in a client that
 * knows them.
 *
 * @param url `redis://[user][:password@]host[:port][/database]`; `rediss://` for TLS
 * @throws {TypeError} when the URL can't be used
 */
export function redisClient(url: string, options: RedisClientOptions = {}): RedisClient & { close(): void } {
  const target = targetOf(url, checkNames(options, { tls: true, transport: true, clock: true }));
  const client = new OwnConnection(target);
  return { send: client.send, close: client.close, open: () => new OwnConnection(target) };
}

function targetOf(text: string, options: RedisClientOptions): Target {
  const fail = (why: string) => new TypeError(`Cannot use Redis at "${text.replace(/\/\/.*@/, "//…@")}": ${why}`);
  const url = URL.parse(text);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === "") {
    throw fail('it must be a URL such as "redis://127.0.0.1:6379"');
  }
  if (!/^\/?\d*$/.test(url.pathname)) throw fail("behind the slash comes the number of a database");
  const greeting: string[][] = [];
  if (url.password !== "") {
    const user = url.username === "" ? [] : [decodeURIComponent(url.username)];
    greeting.push(["AUTH", ...user, decodeURIComponent(url.password)]);
  }
  const database = url.pathname.slice(1);
  if (database !== "") greeting.push(["SELECT", database]);
  const scheme = url.protocol === "rediss:" ? "tls" : "tcp";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const endpoint = formatEndpoint({ scheme, host, port: Number(url.port || 6379) });
  const transport = dialling(options.transport ?? systemTransport, options.tls);
  return { endpoint, transport, clock: options.clock ?? runtimePlatform.clock, greeting };
}

/** One connection. Each that is lost fails what waits for it, and the next command makes another. */
class OwnConnection implements RedisConnection {
  readonly #target: Target;
  readonly #stop = new AbortController();
  #link: Link | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  readonly send = (command: readonly string[]): Promise<unknown> => {
    if (this.#stop.signal.aborted) return Promise.reject(new Error("The client of Redis is closed"));
    if (this.#link === undefined || this.#link.isLost) {
      this.#link = new Link(this.#target, this.#stop.signal);
    }
    return this.#link.send(command);
  };

  readonly close = (): void => {
    this.#stop.abort(new Error("The client of Redis is closed"));
    this.#link?.lose(this.#stop.signal.reason);
  };
}

interface Waiter {
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/** A connection from its dialling to its loss. Replies come in the order of the commands. */
class Link {
  readonly #waiting: Waiter[] = [];
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  #patience: Disposable | undefined;
  #unwritten: string[] = [];
  #connection: ByteConnection | undefined;
  #writing = true;
  #lost = false;

  constructor(target: Target, signal: AbortSignal) {
    this.#signal = signal;
    this.#clock = target.clock;
    const greeted: Waiter = { resolve: () => {}, reject: (error) => this.lose(error) };
    for (const command of target.greeting) this.#send(command, greeted);
    this.#run(target).catch((error) => this.lose(error));
  }

  get isLost(): boolean {
    return this.#lost;
  }

  send(command: readonly string[]): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#send(command, { resolve, reject });
    return promise;
  }

  #send(command: readonly string[], waiter: Waiter): void {
    this.#waiting.push(waiter);
    if (this.#waiting.length === 1) this.#listen();
    this.#unwritten.push(textIn(command));
    if (!this.#writing) {
      this.#writing = true;
      // What else is sent in this turn goes with it.
      queueMicrotask(() => this.#write().catch((error) => this.lose(error)));
    }
  }

  lose(reason: unknown): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#patience?.[Symbol.dispose]();
    this.#connection?.close();
    const error = new Error(`Redis can't be reached: ${textOf(reason)}`, { cause: reason });
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  async #run({ endpoint, transport }: Target): Promise<void> {
    const connection = await transport.connect(endpoint, { signal: this.#signal });
    if (this.#lost) return connection.close();
    this.#connection = connection;
    this.#write().catch((error) => this.lose(error));
    const reader = new ReplyReader();
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      const length = await connection.read(buffer);
      if (length === null) throw new Error(`${endpoint} closed the connection`);
      for (const reply of reader.take(buffer.subarray(0, length))) {
        const waiter = this.#waiting.shift();
        if (waiter === undefined) throw new Error(`${endpoint} answered what was not asked`);
        if (reply instanceof RedisError) waiter.reject(reply);
        else waiter.resolve(reply);
        if (this.#lost) return;
      }
      this.#listen();
    }
  }

  /** Something was heard, or is waited for from now on. */
  #listen(): void {
    this.#patience?.[Symbol.dispose]();
    this.#patience = undefined;
    if (this.#waiting.length === 0 || this.#lost) return;
    const silent = () => this.lose(new Error(`no answer in ${SILENCE_MS} ms`));
    this.#patience = this.#clock.timer(SILENCE_MS, silent);
  }

  async #write(): Promise<void> {
    while (this.#unwritten.length > 0 && !this.#lost) {
      const bytes = encoder.encode(this.#unwritten.splice(0).join(""));
      for (let at = 0; at < bytes.length;) at += await this.#connection!.write(bytes.subarray(at));
    }
    this.#writing = false;
  }
}

/** A command as Redis reads it. */
function textIn(command: readonly string[]): string {
  const parts = command.map((part) => `$${encoder.encode(part).length}\r\n${part}\r\n`);
  return `*${command.length}\r\n${parts.join("")}`;
}
