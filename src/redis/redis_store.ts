/**
 * Instances in Redis. `redis.ts` says where they stand.
 *
 * Invariants: whatever is written is written by one script; every change has the number after the last, so that a reader knows
 * when it has missed one, or when Redis has gone back.
 */
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { hexId, type Platform } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";
import type { Lease, RemovalCause, RenewResult } from "../registry/registry.ts";
import { decodeEntry, encodeEntry, type Entry } from "../store/entry.ts";
import type { Store, StoreChange, StoreEvent } from "../store/store.ts";
import type { RedisClient, RedisConnection } from "./client.ts";
import { DEREGISTER, LIST, REGISTER, RENEW, SWEEP } from "./scripts.ts";

/** How a store in Redis works. */
export interface RedisStoreOptions {
  /** What its keys begin with. */
  readonly prefix: string;
  /** How long one answer may take. */
  readonly timeoutMs: number;
  /** How many changes are kept. */
  readonly historyLimit: number;
  readonly platform: Platform;
  readonly logger: Logger;
}

/** How long a reader waits for changes, and how often it looks for those whose time is over. */
const WAIT_MS = 1_000;
/** How many changes are read at once. */
const BATCH = 500;
/** For how long a Redis that was found empty is new to everybody: as long as servers may take to register again. */
const NEW_MS = 20_000;
const TOKEN_DIGITS = 32;
const CAUSES: ReadonlySet<string> = new Set<RemovalCause>(["deregistered", "drained", "fenced", "admin"]);

/** Instances in Redis. */
export class RedisStore implements Store {
  readonly name = "Redis";
  readonly #client: RedisClient;
  readonly #options: RedisStoreOptions;
  readonly #shared: readonly string[];
  readonly #instances: string;

  /** Makes one that has sent nothing yet. */
  constructor(client: RedisClient, options: RedisStoreOptions) {
    const { prefix } = options;
    this.#client = client;
    this.#options = options;
    this.#instances = `${prefix}:instance:`;
    this.#shared = ["deadlines", "number", "changes", "epoch", "new"].map((name) => `${prefix}:${name}`);
  }

  async register(instance: Instance, ttlMs: number, owner: string | undefined): Promise<Lease> {
    const { id, incarnation } = instance;
    const token = hexId(this.#options.platform.random, TOKEN_DIGITS);
    const entry = encodeEntry({ instance, ttlMs, owner: owner ?? "" });
    const limit = String(this.#options.historyLimit);
    // Nobody in particular may replace anybody's.
    const who = owner === undefined ? ["", "1"] : [owner, "0"];
    const lines = [id, String(incarnation), token, String(ttlMs), entry, limit, ...who];
    const refused = await this.#run(REGISTER, id, lines) as string;
    if (refused === "") return { instanceId: id, incarnation, token, ttlMs };
    if (refused === "owner") {
      throw new RpcError("permission_denied", `Cannot register instance "${id}": it is listed for somebody else`, {
        executed: "no",
      });
    }
    throw new RpcError(
      "unavailable",
      `Cannot register instance "${id}" of incarnation ${incarnation}: ` +
        `incarnation ${refused} of it is listed, which is newer`,
      { executed: "no" },
    );
  }

  async renew({ instanceId, incarnation, token }: Lease): Promise<RenewResult> {
    return await this.#run(RENEW, instanceId, [instanceId, String(incarnation), token]) as RenewResult;
  }

  async deregister({ instanceId, token }: Lease, cause: RemovalCause): Promise<void> {
    const limit = String(this.#options.historyLimit);
    await this.#run(DEREGISTER, instanceId, [instanceId, token, cause, limit]);
  }

  async *follow(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const connection = this.#client.open();
    try {
      for (;;) {
        const { listing, place } = await this.#list(signal);
        yield listing;
        yield* this.#changes(connection, place, signal);
        // It has missed some of them: from the beginning.
      }
    } finally {
      connection.close();
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #list(signal: AbortSignal): Promise<{ listing: StoreEvent; place: Place }> {
    const sign = hexId(this.#options.platform.random, 16);
    const reply = await this.#run(LIST, "", [sign, String(NEW_MS)], signal);
    const [epoch, isNew, number, at, listed] = reply as [string, number, number, string, [string, string][]];
    const entries = listed.flatMap(([token, text]) => this.#decode(text, token) ?? []);
    return { listing: { kind: "listing", entries, epoch, warming: isNew === 1 }, place: { number, at } };
  }

  /** Tells what changes behind a place. Returns when something is missing. */
  async *#changes(connection: RedisConnection, place: Place, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const changes = this.#shared[2];
    let { number, at } = place;
    let missedAt: number | undefined;
    const checkNumber = (is: number) => {
      if (is < number) throw new Error(`Redis has gone back from change ${number} to ${is}`);
    };
    for (;;) {
      const command = ["XREAD", "COUNT", String(BATCH), "BLOCK", String(WAIT_MS), "STREAMS", changes, at];
      const entries = entriesOf(await this.#inTime(connection.send(command), "changes", signal, WAIT_MS));
      const told: StoreChange[] = [];
      for (const [id, fields] of entries) {
        const { number: is, change } = this.#read(fields);
        // Somebody else's: behind it nobody could tell any more whether one is missing.
        if (!Number.isSafeInteger(is)) return;
        checkNumber(is - 1);
        if (is > number + 1) return;
        [number, at] = [is, id];
        if (change !== undefined) told.push(change);
      }
      if (told.length > 0) yield { kind: "changes", changes: told };
      if (entries.length < BATCH) {
        const last = Number(await this.#run(SWEEP, "", [String(this.#options.historyLimit)], signal));
        checkNumber(last);
        // Once is no proof: it may have come since. What is still not there a moment later has been lost.
        if (last > number && missedAt === number) return;
        missedAt = last > number ? number : undefined;
      }
    }
  }

  #read(fields: readonly string[]): { number: number; change: StoreChange | undefined } {
    const values = new Map<string, string>();
    for (let n = 0; n + 1 < fields.length; n += 2) values.set(fields[n], fields[n + 1]);
    const number = Number(values.get("number"));
    const instanceId = values.get("id") ?? "";
    if (values.get("kind") === "removed") {
      const cause = values.get("cause") ?? "";
      return {
        number,
        change: { kind: "removed", instanceId, cause: CAUSES.has(cause) ? cause as RemovalCause : undefined },
      };
    }
    const entry = this.#decode(values.get("entry") ?? "", values.get("token") ?? "");
    return { number, change: entry && { kind: "put", entry } };
  }

  #decode(text: string, token: string): Entry | undefined {
    try {
      return decodeEntry(text, token);
    } catch (error) {
      this.#options.logger.warn(`An entry in Redis is left out: ${textOf(error)}`);
      return undefined;
    }
  }

  #run(script: string, instanceId: string, args: readonly string[], signal?: AbortSignal): Promise<unknown> {
    const keys = [this.#instances + instanceId, ...this.#shared];
    const command = ["EVAL", script, String(keys.length), ...keys, ...args];
    return this.#inTime(this.#client.send(command), "an answer", signal);
  }

  /** Clients keep commands until they are connected again, for ever if need be: so whoever waits gives up in time. */
  async #inTime<T>(promise: Promise<T>, what: string, signal?: AbortSignal, moreMs = 0): Promise<T> {
    const { timeoutMs, platform: { clock } } = this.#options;
    const given = Promise.withResolvers<never>();
    const abort = () => given.reject(signal!.reason);
    const late = () => given.reject(new Error(`no ${what} in ${timeoutMs + moreMs} ms`));
    using _timer = clock.timer(timeoutMs + moreMs, late);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    try {
      return await Promise.race([promise, given.promise]);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}

/** A place among the changes: the number of the last one told, and where it stands. */
interface Place {
  readonly number: number;
  readonly at: string;
}

/**
 * The changes in a reply to XREAD, which is nothing when none came in time, or else one stream by its name: a list of pairs under
 * RESP2; under RESP3 a map, which clients give as one, as an object, or as a flat list.
 */
function entriesOf(reply: unknown): readonly [string, readonly string[]][] {
  if (reply === null || reply === undefined) return [];
  if (Array.isArray(reply)) return typeof reply[0] === "string" ? reply[1] : reply[0][1];
  const streams = reply instanceof Map ? [...reply.values()] : Object.values(reply);
  return streams[0];
}
