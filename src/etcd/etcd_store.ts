/**
 * Instances in etcd: one key each, on a lease of its own. `etcd.ts` says where they stand.
 *
 * Invariants: a key of an instance is written in one transaction with the comparison that fences it; the id of a lease is drawn
 * here and is its token, so that asking twice for the same lease is harmless.
 */
import { RpcError } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { hexId, type Platform } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";
import type { Lease, RemovalCause, RenewResult } from "../registry/registry.ts";
import { checkOwner, decodeEntry, encodeEntry, type Entry } from "../store/entry.ts";
import type { Store, StoreChange, StoreEvent } from "../store/store.ts";
import { type Answer, EtcdError, FAILED_PRECONDITION, type Gateway, NOT_FOUND } from "./gateway.ts";

/** What stands in etcd under a key, as its gateway writes it. */
interface KeyValue {
  readonly key: string;
  readonly value?: string;
  readonly lease?: string;
  readonly mod_revision: string;
}

/** How many instances are read at once. */
const PAGE = 100;
/** How often it is made sure that the watch still tells everything. */
const POLL_MS = 5_000;
/** How often a write is tried again that somebody else has got in the way of. */
const MAX_TRIES = 10;
const TOKEN = /^[\da-f]{16}$/;

/** Instances in etcd. */
export class EtcdStore implements Store {
  readonly #gateway: Gateway;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #instances: string;
  readonly #farewells: string;
  readonly #epoch: string;
  readonly #prefix: string;
  /** The tokens of the instances that the loop over `follow` was told of. */
  readonly #known = new Map<string, string>();
  #following = false;
  #place = 0;

  /** @param prefix what its keys begin with; ends with a slash */
  constructor(gateway: Gateway, prefix: string, platform: Platform, logger: Logger) {
    this.#gateway = gateway;
    this.#platform = platform;
    this.#logger = logger;
    this.#prefix = prefix;
    this.#instances = `${prefix}instances/`;
    this.#farewells = `${prefix}farewells/`;
    this.#epoch = `${prefix}epoch`;
  }

  get name(): string {
    return `etcd at ${this.#gateway.endpoint}`;
  }

  async register(
    instance: Instance,
    ttlMs: number,
    owner: string | undefined,
    signal: AbortSignal,
  ): Promise<Lease> {
    const { id: instanceId, incarnation } = instance;
    const token = this.#drawToken();
    await this.#grant(token, ttlMs, signal);
    let before: KeyValue | undefined;
    try {
      before = await this.#write(instance, ttlMs, owner, token, signal);
    } catch (error) {
      // Nobody would renew it: but it would be there until it runs out.
      if (!signal.aborted) await this.#revoke(token, signal).catch(() => {});
      throw error;
    }
    const ended = leaseOf(before);
    if (ended !== undefined && ended !== token) {
      // It holds nothing any more, and its holder finds that out; so it does no harm if this fails.
      await this.#revoke(ended, signal).catch(() => {});
    }
    return { instanceId, incarnation, token, ttlMs };
  }

  async renew(lease: Lease, signal: AbortSignal): Promise<RenewResult> {
    const { instanceId, incarnation, token } = lease;
    if (!TOKEN.test(token)) return "unknown";
    // While it follows, it knows without asking whether the lease still keeps the instance listed.
    const known = this.#following && this.#known.get(instanceId) === token;
    const [{ TTL }, listed] = await Promise.all([
      this.#gateway.post("/v3/lease/keepalive", { ID: idOf(token) }, signal),
      known ? undefined : this.#read(instanceId, signal),
    ]);
    if (Number(TTL) > 0 && (known || leaseOf(listed) === token)) return "renewed";
    const present = known ? await this.#read(instanceId, signal) : listed;
    return present !== undefined && this.#incarnationOf(present) > incarnation ? "fenced" : "unknown";
  }

  async deregister(lease: Lease, cause: RemovalCause, signal: AbortSignal): Promise<void> {
    const { instanceId, token } = lease;
    if (!TOKEN.test(token)) return;
    const key = base64(this.#instances + instanceId);
    const farewell = { key: base64(this.#farewells + instanceId), value: base64(cause), lease: idOf(token) };
    try {
      await this.#gateway.post("/v3/kv/txn", {
        compare: [{ key, target: "LEASE", result: "EQUAL", lease: idOf(token) }],
        // In one revision, so that whoever is told that it is gone is told why.
        success: [{ request_delete_range: { key } }, { request_put: farewell }],
      }, signal);
    } catch (error) {
      if (!isRefusal(error, NOT_FOUND)) throw error;
    }
    await this.#revoke(token, signal);
  }

  async *follow(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    this.#known.clear();
    try {
      for (;;) {
        const listing = await this.#list(signal);
        yield listing;
        this.#following = true;
        yield* this.#watch(signal);
        // What came after its place is not known to etcd any more: from the beginning.
      }
    } finally {
      this.#following = false;
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Puts an instance where nobody newer is. Gives what was there before. */
  async #write(
    instance: Instance,
    ttlMs: number,
    owner: string | undefined,
    token: string,
    signal: AbortSignal,
  ): Promise<KeyValue | undefined> {
    const { id, incarnation } = instance;
    const key = base64(this.#instances + id);
    const put = { key, value: base64(encodeEntry({ instance, ttlMs, owner: owner ?? "" })), lease: idOf(token) };
    let present: KeyValue | undefined;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      checkOwner(instance, present && this.#decode(present), owner);
      if (present !== undefined && this.#incarnationOf(present) > incarnation) {
        throw new RpcError(
          "unavailable",
          `Cannot register instance "${id}" of incarnation ${incarnation}: ` +
            `incarnation ${this.#incarnationOf(present)} of it is listed, which is newer`,
          { executed: "no" },
        );
      }
      const { succeeded, responses } = await this.#gateway.post("/v3/kv/txn", {
        compare: [{ key, target: "MOD", result: "EQUAL", mod_revision: present?.mod_revision ?? "0" }],
        success: [{ request_put: put }],
        failure: [{ request_range: { key } }],
      }, signal);
      if (succeeded) return present;
      const read: KeyValue | undefined = responses[0].response_range.kvs?.[0];
      // It was done already, and only the answer was lost.
      if (leaseOf(read) === token) return present;
      present = read;
    }
    throw new Error(`instance "${id}" is registered by many at once`);
  }

  async #grant(token: string, ttlMs: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#gateway.post("/v3/lease/grant", { TTL: String(Math.ceil(ttlMs / 1000)), ID: idOf(token) }, signal);
    } catch (error) {
      // Only our own lease can have this id: it was granted, and the answer was lost.
      if (!isRefusal(error, FAILED_PRECONDITION)) throw error;
    }
  }

  async #revoke(token: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#gateway.post("/v3/lease/revoke", { ID: idOf(token) }, signal);
    } catch (error) {
      if (!isRefusal(error, NOT_FOUND)) throw error;
    }
  }

  async #read(instanceId: string, signal: AbortSignal): Promise<KeyValue | undefined> {
    const { kvs } = await this.#gateway.post("/v3/kv/range", { key: base64(this.#instances + instanceId) }, signal);
    return kvs?.[0];
  }

  /** Reads everything, page by page, at one revision. */
  async #list(signal: AbortSignal): Promise<StoreEvent> {
    const end = base64(endOf(this.#instances));
    const first = await this.#gateway.post("/v3/kv/txn", {
      success: [
        { request_range: { key: base64(this.#epoch) } },
        { request_range: { key: base64(this.#instances), range_end: end, limit: String(PAGE) } },
      ],
    }, signal);
    const revision: string = first.header.revision;
    const sign: KeyValue | undefined = first.responses[0].response_range.kvs?.[0];
    const epoch = sign?.value ?? await this.#mark(signal);
    let page: Answer = first.responses[1].response_range;
    const entries: Entry[] = [];
    for (;;) {
      const kvs: readonly KeyValue[] = page.kvs ?? [];
      for (const kv of kvs) {
        const entry = this.#decode(kv);
        if (entry === undefined) continue;
        entries.push(entry);
      }
      if (!page.more) break;
      const key = base64(`${unbase64(kvs.at(-1)!.key)}\0`);
      page = await this.#gateway.post("/v3/kv/range", { key, range_end: end, limit: String(PAGE), revision }, signal);
    }
    this.#known.clear();
    for (const { instance, token } of entries) this.#known.set(instance.id, token);
    this.#place = Number(revision);
    return { kind: "listing", entries, epoch, warming: sign === undefined };
  }

  /** Leaves a sign that names this life of the store, so that one that has lost everything is known by its absence. */
  async #mark(signal: AbortSignal): Promise<string> {
    const key = base64(this.#epoch);
    const value = base64(hexId(this.#platform.random, 16));
    try {
      const { succeeded, responses } = await this.#gateway.post("/v3/kv/txn", {
        compare: [{ key, target: "CREATE", result: "EQUAL", create_revision: "0" }],
        success: [{ request_put: { key, value } }],
        failure: [{ request_range: { key } }],
      }, signal);
      return succeeded ? value : responses[0].response_range.kvs[0].value;
    } catch (error) {
      // Who may only read leaves it to those who may write.
      if (error instanceof RpcError && error.code === "permission_denied") return "";
      throw error;
    }
  }

  /** Tells what changes behind its place. Returns when etcd has forgotten that. */
  async *#watch(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const polling = this.#poll(both).catch((error) => stop.abort(error));
    try {
      let fragments: Answer[] = [];
      const create_request = {
        key: base64(this.#prefix),
        range_end: base64(endOf(this.#prefix)),
        start_revision: String(this.#place + 1),
        fragment: true,
      };
      for await (const said of this.#gateway.stream("/v3/watch", { create_request }, both)) {
        if (said.compact_revision !== undefined) return;
        if (said.canceled) throw new Error(`etcd ended the watch: ${said.cancel_reason}`);
        fragments.push(...(said.events ?? []));
        if (said.fragment || fragments.length === 0) continue;
        const changes = this.#changesIn(fragments);
        fragments = [];
        if (changes.length > 0) yield { kind: "changes", changes };
      }
    } finally {
      stop.abort();
      await polling;
    }
  }

  #changesIn(events: readonly Answer[]): StoreChange[] {
    const causes = new Map<string, RemovalCause>();
    const changes: StoreChange[] = [];
    for (const { type, kv } of events as { type?: string; kv: KeyValue }[]) {
      const key = unbase64(kv.key);
      const removed = type === "DELETE";
      if (key.startsWith(this.#farewells) && !removed) {
        causes.set(key.slice(this.#farewells.length), unbase64(kv.value ?? "") as RemovalCause);
      }
    }
    for (const { type, kv } of events as { type?: string; kv: KeyValue }[]) {
      this.#place = Math.max(this.#place, Number(kv.mod_revision));
      const key = unbase64(kv.key);
      if (!key.startsWith(this.#instances)) continue;
      const instanceId = key.slice(this.#instances.length);
      if (type === "DELETE") {
        this.#known.delete(instanceId);
        changes.push({ kind: "removed", instanceId, cause: causeOf(causes.get(instanceId)) });
        continue;
      }
      const entry = this.#decode(kv);
      if (entry === undefined) continue;
      this.#known.set(instanceId, entry.token);
      changes.push({ kind: "put", entry });
    }
    return changes;
  }

  /** Makes sure that the store is there, and that the watch has told everything. Throws when it is not so. */
  async #poll(signal: AbortSignal): Promise<void> {
    let missedAt: number | undefined;
    while (await this.#pause(signal)) {
      const { count, kvs } = await this.#gateway.post("/v3/kv/range", {
        key: base64(this.#instances),
        range_end: base64(endOf(this.#instances)),
        limit: "1",
        keys_only: true,
        sort_order: "DESCEND",
        sort_target: "MOD",
      }, signal);
      const newest = Number(kvs?.[0].mod_revision ?? 0);
      const complete = newest <= this.#place && Number(count ?? 0) === this.#known.size;
      // Once is no proof: what changed may be on its way.
      if (!complete && missedAt === this.#place) {
        this.#gateway.leave();
        throw new Error("the watch has fallen silent");
      }
      missedAt = complete ? undefined : this.#place;
    }
  }

  async #pause(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#platform.clock.timer(POLL_MS, resolve);
    const wake = () => resolve();
    signal.addEventListener("abort", wake);
    await promise;
    // The signal lasts as long as the watch, which may be for ever.
    signal.removeEventListener("abort", wake);
    return !signal.aborted;
  }

  #decode(kv: KeyValue): Entry | undefined {
    try {
      const entry = decodeEntry(unbase64(kv.value ?? ""), leaseOf(kv));
      if (this.#instances + entry.instance.id === unbase64(kv.key)) return entry;
      throw new TypeError(`Cannot read an entry: it is of instance "${entry.instance.id}"`);
    } catch (error) {
      this.#logger.warn(`What stands under ${unbase64(kv.key)} in etcd is left out`, error);
      return undefined;
    }
  }

  /** What is no entry is older than everything. */
  #incarnationOf(kv: KeyValue): number {
    return this.#decode(kv)?.instance.incarnation ?? -1;
  }

  /** 63 random bits, other than zero: etcd takes a lease's id for a positive number, and zero for "choose one". */
  #drawToken(): string {
    const digits = hexId(this.#platform.random, 16);
    const first = (parseInt(digits[0], 16) & 7).toString(16);
    return `${first}${digits.slice(1, 15)}${digits[15] === "0" ? "1" : digits[15]}`;
  }
}

function isRefusal(error: unknown, number: number): boolean {
  return error instanceof EtcdError && error.number === number;
}

function causeOf(text: string | undefined): RemovalCause | undefined {
  return text === "deregistered" || text === "drained" || text === "admin" || text === "fenced" ? text : undefined;
}

/** The lease of a key as a token, which is its id in 16 hexadecimal digits; `undefined` when it has none. */
function leaseOf(kv: KeyValue | undefined): string | undefined {
  if (kv?.lease === undefined || kv.lease === "0") return undefined;
  return BigInt.asUintN(64, BigInt(kv.lease)).toString(16).padStart(16, "0");
}

/** A token as etcd's gateway wants the id of a lease. */
function idOf(token: string): string {
  return BigInt(`0x${token}`).toString();
}

/** The first key behind all that begin with `prefix`, which ends with a slash. */
function endOf(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function base64(text: string): string {
  return encoder.encode(text).toBase64();
}

function unbase64(text: string): string {
  return decoder.decode(Uint8Array.fromBase64(text));
}
