/**
 * One session with ZooKeeper, from its beginning to its end, in promises that settle in time.
 *
 * A client keeps what it is told to do until it is connected again, however long that takes; so it is told nothing while it is
 * not. And it does not notice an ensemble that is silent; so whoever gets no answer says so here.
 */
import { Buffer } from "node:buffer";
import type { Clock } from "../core/platform.ts";
import type { ZooKeeperCallback, ZooKeeperClient } from "./client.ts";

/** What a node is: it stays, or goes with its session, and then may have a number behind its name. */
export type Mode = "persistent" | "ephemeral" | "ephemeralSequential";

/** One of several changes that are made together. */
export type Change =
  | { readonly remove: string }
  | { readonly create: string; readonly text: string; readonly mode: Mode };

const MODES: Readonly<Record<Mode, number>> = { persistent: 0, ephemeral: 1, ephemeralSequential: 3 };
const NO_NODE = -101;
const NODE_EXISTS = -110;

/** One session. Whoever opens it ends it. */
export class Session {
  readonly #client: ZooKeeperClient;
  readonly #acl: unknown[] | undefined;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #connected = Promise.withResolvers<void>();
  #isConnected = false;
  /** Gets every answer that is still waited for. */
  #lost = new AbortController();
  #wasConnected = false;
  /** Since when nothing was heard, while something was asked. */
  #silentSince: number | undefined;

  /** Begins to connect. */
  constructor(client: ZooKeeperClient, acl: readonly unknown[] | undefined, timeoutMs: number, clock: Clock) {
    this.#client = client;
    this.#acl = acl === undefined ? undefined : [...acl];
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#silentSince = clock.now();
    client.on("connected", () => {
      this.#wasConnected = true;
      if (this.over.aborted) return client.close();
      this.#isConnected = true;
      this.#silentSince = undefined;
      this.#lost = new AbortController();
      this.#connected.resolve();
    });
    client.on("disconnected", () => this.#disconnected(new Error("ZooKeeper can't be reached")));
    client.on("expired", () => this.#end(new Error("the session with ZooKeeper has expired")));
    client.on("authenticationFailed", () => this.#end(new Error("ZooKeeper does not take our credentials")));
    client.connect();
  }

  /** Aborts when it is over, with the reason: from then on another one is needed. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Aborts when the connection is lost, with the reason. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** How long it lasts without a connection, in milliseconds. */
  get timeoutMs(): number {
    return this.#client.getSessionTimeout();
  }

  /** Waits for a connection, as long as for any answer. */
  async ready(): Promise<void> {
    if (this.#isConnected) return;
    const late = Promise.withResolvers<never>();
    using _timer = this.#clock.timer(this.#timeoutMs, () => {
      late.reject(new Error("ZooKeeper can't be reached"));
      this.#isSilent();
    });
    const over = () => late.reject(this.over.reason);
    this.over.addEventListener("abort", over, { once: true });
    try {
      await Promise.race([this.#connected.promise, late.promise]);
    } finally {
      this.over.removeEventListener("abort", over);
    }
  }

  /** Makes a node, and gives its path; `undefined` when there is one of that name. Rejects where its parent is missing. */
  create(path: string, text: string, mode: Mode): Promise<string | undefined> {
    const data = Buffer.from(text);
    return this.#do<string>((done) => this.#client.create(path, data, this.#acl, MODES[mode], done), NODE_EXISTS);
  }

  /** Removes a node, if it is there. */
  async remove(path: string): Promise<void> {
    await this.#do<void>((done) => this.#client.remove(path, -1, (error) => done(error, undefined)), NO_NODE);
  }

  /**
   * Makes all changes or none. Gives the paths of what was made; `undefined` when something that was to be made is there already.
   * Rejects where something that was to be removed is missing, or the parent of what was to be made.
   */
  change(changes: readonly Change[]): Promise<readonly string[] | undefined> {
    return this.#do<readonly string[]>((done) => {
      const transaction = this.#client.transaction();
      for (const change of changes) {
        if ("remove" in change) transaction.remove(change.remove, -1);
        else transaction.create(change.create, Buffer.from(change.text), this.#acl, MODES[change.mode]);
      }
      transaction.commit((error, results) => done(error, (results ?? []).flatMap(({ path }) => path ?? [])));
    }, NODE_EXISTS);
  }

  /** The text of a node, if it is there. */
  async read(path: string): Promise<string | undefined> {
    const decoder = new TextDecoder();
    const data = await this.#do<Uint8Array>((done) => {
      this.#client.getData(path, (error, data) => done(error, data ?? new Uint8Array()));
    }, NO_NODE);
    return data === undefined ? undefined : decoder.decode(data);
  }

  /** Whether there is a node. */
  async has(path: string): Promise<boolean> {
    const stat = await this.#do<unknown>((done) => this.#client.exists(path, done));
    return stat !== null && stat !== undefined;
  }

  /** The names of the children of a node; none where there is no such node. `whenChanged` is told once of a change. */
  async children(path: string, whenChanged: () => void = ignore): Promise<readonly string[]> {
    return await this.#do<string[]>((done) => this.#client.getChildren(path, whenChanged, done), NO_NODE) ?? [];
  }

  /** Ends it, and its ephemeral nodes with it. */
  close(): void {
    if (this.#over.signal.aborted) return;
    this.#end(new Error("the registry is closed"));
    this.#closeClient();
  }

  async #do<T>(start: (done: ZooKeeperCallback<[T]>) => void, forgiven?: number): Promise<T | undefined> {
    if (!this.#isConnected) throw new Error("ZooKeeper can't be reached");
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    const { lost: signal } = this;
    const lost = () => reject(signal.reason);
    using _timer = this.#clock.timer(this.#timeoutMs, () => {
      reject(new Error(`no answer from ZooKeeper in ${this.#timeoutMs} ms`));
      this.#isSilent();
    });
    signal.addEventListener("abort", lost, { once: true });
    try {
      start((error, result) => {
        this.#silentSince = undefined;
        if (!error) resolve(result);
        else if (error.code === forgiven) resolve(undefined);
        else reject(error);
      });
      return await promise;
    } finally {
      signal.removeEventListener("abort", lost);
    }
  }

  /**
   * Nothing was heard for as long as it waits. When that is longer than the session lasts, it is over whether or not ZooKeeper
   * says so: one that has lost its memory refuses for ever whoever remembers more.
   */
  #isSilent(): void {
    const now = this.#clock.now();
    this.#silentSince ??= now - this.#timeoutMs;
    if (now - this.#silentSince <= this.timeoutMs) return;
    this.#end(new Error("ZooKeeper has been silent for longer than the session lasts"));
    this.#closeClient();
  }

  /** `node-zookeeper-client` throws where nobody can catch it when it is closed during its first handshake. */
  #closeClient(): void {
    if (this.#wasConnected) this.#client.close();
  }

  #disconnected(why: Error): void {
    if (this.#isConnected) this.#connected = Promise.withResolvers();
    this.#isConnected = false;
    this.#silentSince ??= this.#clock.now();
    this.#lost.abort(why);
  }

  #end(why: Error): void {
    this.#disconnected(why);
    this.#over.abort(why);
  }
}

/** Whether something failed because a node, or its parent, is not there. */
export function isNoNode(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === NO_NODE;
}

function ignore(): void {}
