/**
 * Instances in ZooKeeper, as ephemeral nodes. `zookeeper.ts` says where they stand.
 *
 * A node belongs to the session of whoever registered the instance, or of whoever took it over: a process that registers itself,
 * or a center for those that register with it. A lease is renewed in the memory of each process that is asked to; whoever has
 * renewed a lease lately makes its node anew when that vanishes, with its session or with the center that it belonged to.
 *
 * Invariants: a node never changes; it is made and removed together with the claim of its instance, of which there can be only one:
 * so whoever has looked at what is there, and then replaces it, replaces nothing else; an instance is taken away by removing its
 * node, and with a word by making the farewell of that node first; the time of leases stands still while there is no connection.
 */
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { hexId, type Platform } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";
import type { Lease, RemovalCause, RenewResult } from "../registry/registry.ts";
import { checkOwner, decodeEntry, encodeEntry, type Entry } from "../store/entry.ts";
import type { Store, StoreChange, StoreEvent } from "../store/store.ts";
import type { ZooKeeperClient } from "./client.ts";
import { claimName, namesBeginWith, namesOf, type Node, type NodeName, NodeTable, parseName } from "./node_table.ts";
import { isNoNode, Session } from "./session.ts";

/** How a store in ZooKeeper works. */
export interface ZooKeeperStoreOptions {
  /** Makes a client for a new session. */
  readonly client: () => ZooKeeperClient;
  /** Below which node everything stands. */
  readonly path: string;
  /** Who may do what with the nodes, in the client's terms. */
  readonly acl: readonly unknown[] | undefined;
  readonly timeoutMs: number;
  readonly platform: Platform;
  readonly logger: Logger;
}

/** A lease that is renewed here. */
interface Held {
  readonly lease: Lease;
  /** What stands in its nodes. */
  readonly text: string;
  expiresAt: number;
  /** The node that it was last seen to have. */
  node: string | undefined;
  /** Whether that belongs to our session. `maybe`: we asked for one, and got no answer. */
  isOurs: "yes" | "no" | "maybe";
  /** While it is made anew: whether that was right. */
  restoring: Promise<boolean> | undefined;
}

const TOKEN_DIGITS = 32;
const SWEEP_MS = 1_000;
const POLL_MS = 5_000;
const RECONCILE_MS = 60_000;
/** How many nodes are read at once. */
const BATCH = 100;
/** How long a farewell stays for those who have yet to read it. */
const FAREWELL_MS = 60_000;
const RESTORE_MS = 500;
/** So often somebody else may be faster. */
const MAX_TRIES = 50;
/** A claim that is seen so often without a node belongs to nobody: its node was removed by hand. */
const ORPHAN_SIGHTINGS = 3;
const CAUSES: ReadonlySet<string> = new Set<RemovalCause>(["deregistered", "drained", "fenced", "admin"]);

/** Instances in ZooKeeper. */
export class ZooKeeperStore implements Store {
  readonly name = "ZooKeeper";
  readonly #options: ZooKeeperStoreOptions;
  readonly #instances: string;
  readonly #claims: string;
  readonly #farewells: string;
  readonly #held = new Map<string, Held>();
  /** What the loop over `follow` knows. */
  readonly #table = new NodeTable();
  readonly #timers = new Set<Disposable>();
  #following = false;
  #session: Session | undefined;
  #sweeper: Disposable | undefined;
  #closed = false;

  /** Makes one that has no session yet. */
  constructor(options: ZooKeeperStoreOptions) {
    this.#options = options;
    this.#instances = `${options.path}/instances`;
    this.#claims = `${options.path}/claims`;
    this.#farewells = `${options.path}/farewells`;
  }

  /** Whether it has renewed what belongs to others: to take over what they lose, it must see that. */
  get mustBeFollowed(): boolean {
    for (const { isOurs } of this.#held.values()) if (isOurs === "no") return true;
    return false;
  }

  async register(instance: Instance, ttlMs: number, owner: string | undefined): Promise<Lease> {
    const { id: instanceId, incarnation } = instance;
    const session = await this.#open();
    const token = hexId(this.#options.platform.random, TOKEN_DIGITS);
    const lease: Lease = { instanceId, incarnation, token, ttlMs };
    const text = encodeEntry({ instance, ttlMs, token, owner: owner ?? "" });
    const held: Held = {
      lease,
      text,
      expiresAt: this.#now() + ttlMs,
      node: undefined,
      isOurs: "maybe",
      restoring: undefined,
    };
    // Before anything is made: should the answer be lost, the node is found by its token when nobody renews it.
    this.#held.set(token, held);
    this.#sweepLater();
    const refused = await this.#make(session, held, (present) => this.#refusal(session, instance, owner, present));
    if (refused !== undefined) {
      this.#held.delete(token);
      throw refused;
    }
    for (const [known, { lease }] of this.#held) {
      if (lease.instanceId === instanceId) this.#held.delete(known);
    }
    // Also when another, which came before it in the end, has taken it for one of those.
    this.#held.set(token, held);
    return lease;
  }

  async renew(lease: Lease): Promise<RenewResult> {
    const { instanceId, incarnation, token } = lease;
    const session = await this.#open();
    const known = this.#held.get(token);
    const newest = this.#following ? this.#table.listed(instanceId)?.name.incarnation ?? -1 : -1;
    if (newest > incarnation) {
      // Usually its node has been removed by whoever is newer, unless that could not be done.
      if (known !== undefined) await this.#drop(session, known);
      return "fenced";
    }
    const isThere = known?.isOurs === "yes" && await session.has(`${this.#instances}/${known.node}`);
    const held = isThere ? known : await this.#seek(session, lease, known);
    if (typeof held === "string") {
      this.#held.delete(token);
      return held;
    }
    // As long as it was registered for, whatever whoever renews it says.
    held.expiresAt = this.#now() + held.lease.ttlMs;
    this.#held.set(token, held);
    this.#sweepLater();
    return "renewed";
  }

  async deregister({ instanceId, token }: Lease, cause: RemovalCause): Promise<void> {
    const session = await this.#open();
    const held = this.#held.get(token);
    this.#held.delete(token);
    const own = held?.isOurs === "yes" ? held.node : undefined;
    const node = own ?? (await this.#find(session, await this.#namesOf(session, instanceId), token))?.name;
    if (node === undefined) return;
    if (cause !== "expired") {
      await session.create(`${this.#farewells}/${node}`, cause, "persistent");
      this.#forgetLater([node]);
    }
    await this.#unlist(session, instanceId, node);
  }

  async *follow(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const session = await this.#open();
    const { lost } = session;
    const epoch = await this.#mark(session);
    this.#table.clear();
    let news = Promise.withResolvers<void>();
    const changed = () => news.resolve();
    try {
      for (let first = true;; first = false) {
        news = Promise.withResolvers();
        const names = (await session.children(this.#instances, changed)).flatMap((name) => parseName(name) ?? []);
        const changes = await this.#learn(session, names);
        this.#following = true;
        // It lists only who is connected to it: what it does not list may be about to be made anew.
        if (first) yield { kind: "listing", epoch, warming: true, entries: this.#listed() };
        else if (changes.length > 0) yield { kind: "changes", changes };
        // What others have left behind, when everybody has had the time to read it.
        if (first) this.#forgetLater(await session.children(this.#farewells));
        await this.#wait(session, news.promise, AbortSignal.any([lost, signal]));
      }
    } finally {
      this.#following = false;
    }
  }

  /** Ends the session, and with it what is listed through it. */
  close(): Promise<void> {
    this.#closed = true;
    this.#sweeper?.[Symbol.dispose]();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#session?.close();
    return Promise.resolve();
  }

  #now(): number {
    return this.#options.platform.clock.now();
  }

  /** The session, connected; a new one when the last is over. */
  async #open(): Promise<Session> {
    if (this.#closed) throw new Error("the registry is closed");
    let session = this.#session;
    if (session === undefined || session.over.aborted) {
      const { client, acl, timeoutMs, platform } = this.#options;
      session = this.#session = new Session(client(), acl, timeoutMs, platform.clock);
      // What the last one had made is gone with it.
      for (const held of this.#held.values()) held.isOurs = "no";
      session.over.addEventListener("abort", () => void this.#restoreAll(), { once: true });
    }
    await session.ready();
    return session;
  }

  /** Makes what has gone with the last session anew, as soon as there is another one, unless others have done it. */
  async #restoreAll(): Promise<void> {
    if (this.#closed || this.#held.size === 0) return;
    try {
      const session = await this.#open();
      for (const held of [...this.#held.values()]) {
        if (held.isOurs !== "yes" && !await this.#restore(session, held)) this.#held.delete(held.lease.token);
      }
    } catch (error) {
      this.#options.logger.warn(`Cannot list in ZooKeeper again, next attempt in ${RESTORE_MS} ms: ${textOf(error)}`);
      this.#later(RESTORE_MS, () => this.#restoreAll());
    }
  }

  /** Makes the node of a lease that has gone anew. Says no when it must not: somebody has said goodbye, or taken its place. */
  #restore(session: Session, held: Held): Promise<boolean> {
    return held.restoring ??= this.#restoreOnce(session, held).finally(() => held.restoring = undefined);
  }

  async #restoreOnce(session: Session, held: Held): Promise<boolean> {
    const { token } = held.lease;
    const refused = await this.#make(session, held, async (present) => {
      // Whoever says goodbye does so before the node goes: so it is to be seen by now.
      if (present.length === 0) return await this.#isFarewell(session, held.node) ? { isSame: false } : undefined;
      // Others have made it anew; or somebody has taken its place.
      const known = await this.#find(session, present, token);
      if (known !== undefined) held.node = known.name;
      return { isSame: known !== undefined };
    });
    return refused?.isSame ?? true;
  }

  async #isFarewell(session: Session, node: string | undefined): Promise<boolean> {
    return node !== undefined && await session.has(`${this.#farewells}/${node}`);
  }

  /** What is held of a lease whose node is not ours, or has gone; otherwise what became of it. */
  async #seek(session: Session, lease: Lease, known: Held | undefined): Promise<Held | "fenced" | "unknown"> {
    const { instanceId, incarnation, token } = lease;
    // What is known may be late: where the node is not among what is known, it is asked for.
    for (const mustAsk of this.#following ? [false, true] : [true]) {
      const names = await this.#namesOf(session, instanceId, mustAsk);
      if (names.length > 0 && names[0].incarnation > incarnation) return "fenced";
      const found = await this.#find(session, names, token);
      if (found !== undefined) {
        const { name, text, ttlMs } = found;
        const isOurs = known?.isOurs === "maybe" ? "maybe" : "no";
        const held = { instanceId, incarnation: found.incarnation, token, ttlMs };
        return { lease: held, text, expiresAt: 0, node: name, isOurs, restoring: undefined };
      }
    }
    return known !== undefined && await this.#restore(session, known) ? known : "unknown";
  }

  /**
   * Makes the node of a lease in the place of all others of its instance. Who was slower than somebody else looks again.
   * @param refuse says why those that are there, the one that is listed first, may not be replaced
   */
  async #make<Refusal>(
    session: Session,
    held: Held,
    refuse: (present: readonly NodeName[]) => Promise<Refusal | undefined>,
  ): Promise<Refusal | undefined> {
    const { instanceId, incarnation } = held.lease;
    const before = held.isOurs;
    const claim = `${this.#claims}/${claimName(instanceId)}`;
    const begin = `${this.#instances}/${namesBeginWith(instanceId)}${incarnation};`;
    for (let tries = 0, orphans = 0; tries < MAX_TRIES; tries++) {
      // What is known may be late, which shows: it is asked for when that did not do.
      const mustAsk = tries > 0 || !this.#following;
      const isClaimed = tries > 0 && await session.has(claim);
      const present = await this.#namesOf(session, instanceId, mustAsk);
      const refused = await refuse(present);
      if (refused !== undefined && mustAsk) return refused;
      if (refused !== undefined) continue;
      if (isClaimed && present.length === 0 && ++orphans < ORPHAN_SIGHTINGS) continue;
      const old = present.map(({ name }) => ({ remove: `${this.#instances}/${name}` }));
      if (isClaimed || tries === 0 && present.length > 0) old.push({ remove: claim });
      held.isOurs = "maybe";
      try {
        const made = await session.change([
          ...old,
          { create: claim, text: "", mode: "ephemeral" },
          { create: begin, text: held.text, mode: "ephemeralSequential" },
        ]);
        const path = made?.at(-1);
        if (path !== undefined) {
          held.node = path.slice(path.lastIndexOf("/") + 1);
          held.isOurs = "yes";
          return undefined;
        }
      } catch (error) {
        if (!isNoNode(error)) throw error;
        // What was to go has gone already; or there is nothing at all yet.
        if (old.length === 0) await this.#prepare(session);
      }
      held.isOurs = before;
    }
    throw new Error(`instance "${instanceId}" is registered by many at once`);
  }

  /** Why a registration may not take the place of what is there. */
  async #refusal(
    session: Session,
    instance: Instance,
    owner: string | undefined,
    present: readonly NodeName[],
  ): Promise<RpcError | undefined> {
    const { id, incarnation } = instance;
    const newest = present[0]?.incarnation ?? -1;
    if (owner !== undefined) {
      try {
        checkOwner(instance, await this.#listedOf(session, present), owner);
      } catch (error) {
        return error as RpcError;
      }
    }
    if (newest <= incarnation) return undefined;
    return new RpcError(
      "unavailable",
      `Cannot register instance "${id}" of incarnation ${incarnation}: ` +
        `incarnation ${newest} of it is listed, which is newer`,
      { executed: "no" },
    );
  }

  /** Removes a node together with the claim of its instance, unless that is another's by now. */
  async #unlist(session: Session, instanceId: string, node: string): Promise<void> {
    const path = `${this.#instances}/${node}`;
    try {
      await session.change([{ remove: path }, { remove: `${this.#claims}/${claimName(instanceId)}` }]);
    } catch (error) {
      if (!isNoNode(error)) throw error;
      // It has gone already; or it was made by somebody who makes no claims.
      await session.remove(path);
    }
  }

  /** Makes the nodes that everything stands below. */
  async #prepare(session: Session): Promise<void> {
    for (const path of [this.#instances, this.#claims, this.#farewells]) {
      const parts = path.split("/");
      for (let n = 2; n <= parts.length; n++) await session.create(parts.slice(0, n).join("/"), "", "persistent");
    }
  }

  /** Leaves a sign that names this life of the store. */
  async #mark(session: Session): Promise<string> {
    const path = `${this.#options.path}/epoch`;
    const known = await session.read(path);
    if (known !== undefined) return known;
    await this.#prepare(session);
    await session.create(path, hexId(this.#options.platform.random, 16), "persistent");
    return await session.read(path) ?? "";
  }

  /** The nodes of an instance, the one that is listed first: as the loop over `follow` knows them, or as ZooKeeper does. */
  async #namesOf(session: Session, instanceId: string, mustAsk = false): Promise<readonly NodeName[]> {
    if (this.#following && !mustAsk) return this.#table.of(instanceId).map(({ name }) => name);
    return namesOf(instanceId, await session.children(this.#instances));
  }

  /** What is listed of an instance, by its nodes. */
  async #listedOf(session: Session, names: readonly NodeName[]): Promise<Entry | undefined> {
    for (const { name } of names) {
      const text = await session.read(`${this.#instances}/${name}`);
      const entry = text === undefined ? undefined : this.#decode(name, text);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** The node of a lease among those of its instance. */
  async #find(
    session: Session,
    names: readonly NodeName[],
    token: string,
  ): Promise<(NodeName & { text: string; ttlMs: number }) | undefined> {
    for (const node of names) {
      const text = await session.read(`${this.#instances}/${node.name}`);
      const entry = text === undefined ? undefined : this.#decode(node.name, text);
      if (entry?.token === token) return { ...node, text: text!, ttlMs: entry.ttlMs };
    }
    return undefined;
  }

  /** Learns which nodes there are now. Gives what that changes in what is listed. */
  async #learn(session: Session, names: readonly NodeName[]): Promise<StoreChange[]> {
    const there = new Set(names.map(({ name }) => name));
    const gone = [...this.#table.nodes].filter(({ name }) => !there.has(name.name));
    const come: Node[] = [];
    const unknown = names.filter(({ name }) => !this.#table.has(name));
    for (let at = 0; at < unknown.length; at += BATCH) {
      await Promise.all(
        unknown.slice(at, at + BATCH).map(async (name) => {
          const text = await session.read(`${this.#instances}/${name.name}`);
          // What has gone again in the meantime is not there at the next look.
          if (text !== undefined) come.push({ name, entry: this.#decode(name.name, text) });
        }),
      );
    }
    const before = new Map<string, NodeName | undefined>();
    for (const { name: { instanceId } } of [...come, ...gone]) {
      before.set(instanceId, this.#table.listed(instanceId)?.name);
    }
    for (const node of come) this.#table.add(node);
    for (const { name } of gone) this.#table.delete(name);
    const changes: StoreChange[] = [];
    for (const [instanceId, name] of before) {
      const entry = this.#table.listed(instanceId)?.entry;
      if (entry !== undefined) changes.push({ kind: "put", entry });
      else if (name !== undefined) {
        changes.push({ kind: "removed", instanceId, cause: await this.#farewellOf(session, name.name) });
      }
    }
    for (const node of gone) await this.#takeOver(session, node);
    return changes;
  }

  /** Makes anew what has vanished, if its lease was renewed here lately. */
  async #takeOver(session: Session, { name: { name }, entry }: Node): Promise<void> {
    const held = entry && this.#held.get(entry.token);
    if (held === undefined || (held.isOurs !== "no" && held.node !== name)) return;
    held.isOurs = "no";
    held.node = name;
    if (!await this.#restore(session, held)) this.#held.delete(held.lease.token);
  }

  #listed(): Entry[] {
    return [...this.#table.instanceIds].flatMap((id) => this.#table.listed(id)?.entry ?? []);
  }

  async #farewellOf(session: Session, node: string): Promise<RemovalCause | undefined> {
    const cause = await session.read(`${this.#farewells}/${node}`);
    if (cause === undefined) return undefined;
    this.#forgetLater([node]);
    return CAUSES.has(cause) ? cause as RemovalCause : undefined;
  }

  #forgetLater(nodes: readonly string[]): void {
    if (nodes.length === 0) return;
    this.#later(FAREWELL_MS, async () => {
      for (const node of nodes) await this.#session?.remove(`${this.#farewells}/${node}`);
    });
  }

  /**
   * Waits for news, and makes sure now and then that ZooKeeper is still there. Rejects when it is lost, and does not wait for more
   * than a minute, should news have been lost.
   */
  async #wait(session: Session, news: Promise<void>, lost: AbortSignal): Promise<void> {
    const everyMs = Math.min(POLL_MS, Math.ceil(session.timeoutMs / 3));
    for (let isNews = false, leftMs = RECONCILE_MS; !isNews && leftMs > 0; leftMs -= everyMs) {
      const { promise, resolve, reject } = Promise.withResolvers<boolean>();
      const fail = () => reject(lost.reason);
      using _timer = this.#options.platform.clock.timer(everyMs, () => resolve(false));
      lost.addEventListener("abort", fail, { once: true });
      if (lost.aborted) fail();
      void news.then(() => resolve(true));
      isNews = await promise.finally(() => lost.removeEventListener("abort", fail));
      if (!isNews) await session.has(this.#instances);
    }
  }

  #decode(name: string, text: string): Entry | undefined {
    try {
      const entry = decodeEntry(text);
      const { id, incarnation } = entry.instance;
      if (name.startsWith(`${namesBeginWith(id)}${incarnation};`)) return entry;
      throw new TypeError(`Cannot read an entry: it is of instance "${id}"`);
    } catch (error) {
      this.#options.logger.warn(`What stands in ${this.#instances}/${name} is left out`, error);
      return undefined;
    }
  }

  #sweepLater(): void {
    if (this.#closed || this.#held.size === 0) return;
    const dueAt = this.#now() + SWEEP_MS;
    this.#sweeper ??= this.#options.platform.clock.timer(SWEEP_MS, () => void this.#sweep(dueAt));
  }

  /** Gives up the leases that nobody renews. */
  async #sweep(dueAt: number): Promise<void> {
    const session = this.#session;
    const now = this.#now();
    const isAway = session === undefined || session.lost.aborted;
    // Nobody can renew a lease while this process stands still, nor while ZooKeeper is away.
    const lostMs = now - dueAt + (isAway ? SWEEP_MS : 0);
    for (const held of this.#held.values()) held.expiresAt += lostMs;
    try {
      for (const held of isAway ? [] : [...this.#held.values()]) {
        if (held.expiresAt <= now) await this.#drop(session!, held);
      }
    } catch (error) {
      this.#options.logger.debug(`Cannot remove from ZooKeeper what has expired: ${textOf(error)}`);
    }
    this.#sweeper = undefined;
    this.#sweepLater();
  }

  /** Renews a lease no longer. Its node goes, if it is ours; who else renews it makes another. */
  async #drop(session: Session, held: Held): Promise<void> {
    const { instanceId, token } = held.lease;
    let { node } = held;
    if (held.isOurs === "maybe") {
      node = (await this.#find(session, await this.#namesOf(session, instanceId, true), token))?.name;
    }
    if (node !== undefined && held.isOurs !== "no") await this.#unlist(session, instanceId, node);
    this.#held.delete(token);
  }

  #later(ms: number, action: () => unknown): void {
    if (this.#closed) return;
    const timer = this.#options.platform.clock.timer(ms, () => {
      this.#timers.delete(timer);
      Promise.try(action).catch(() => {});
    });
    this.#timers.add(timer);
  }
}
