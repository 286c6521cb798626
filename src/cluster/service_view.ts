/**
 * What a client knows about one service: the instances that the registries last told of, and who is picked next.
 */
import type { Call } from "../core/call.ts";
import { foundNobody, RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Timers } from "../core/timers.ts";
import type { Channel } from "../channel/channel.ts";
import { sameTexts } from "../registry/instance.ts";
import { Ejection } from "./ejection.ts";
import type { ListingCache } from "./listing_cache.ts";
import { Member } from "./member.ts";
import type { Difference, Resolved } from "./merged_set.ts";
import { Resolver } from "./resolver.ts";
import { Routes } from "./routes.ts";
import type { RuleFollower } from "./rule_follower.ts";
import { Selection, type SelectionHost } from "./selection.ts";
import type { Source } from "./source.ts";
import type { Traffic } from "./traffic.ts";

/** How many of those who left are remembered. */
const MAX_DEPARTED = 100;

/** What a view needs of the cluster. */
export interface ViewHost extends SelectionHost {
  readonly logger: Logger;
  readonly timers: Timers;
  readonly sources: readonly Source[];
  /** What registries listed when an earlier process heard them, if anybody keeps that. */
  readonly cache: ListingCache | undefined;
  /** What is known of routing rules; `undefined` when nobody tells of any. */
  readonly rules: RuleFollower | undefined;
  /** What runs of a service that is followed from now on: nothing. */
  traffic(): Traffic;
  /** The channel to an instance with these endpoints, counted once more; each is released once. */
  acquire(endpoints: readonly string[], view: ServiceView): Channel;
  /** Counted once less. */
  release(channel: Channel, view: ServiceView): void;
}

/** What a client knows about one service. */
export class ServiceView {
  /** Its name. */
  readonly service: string;
  /** Where its instances come from. */
  readonly resolver: Resolver;
  /** How many calls wait for somebody to be known. */
  waiting = 0;
  /** Its cluster's mark of when it was last wanted. */
  wantedAt = 0;
  readonly #host: ViewHost;
  readonly #traffic: Traffic;
  readonly #members = new Map<string, Member>();
  /** Who was there and is not: one that comes back as it was need not show again what it is worth. The last to leave is last. */
  readonly #departed = new Map<string, Member>();
  readonly #all: Selection;
  /** What its routing rules say; `undefined` when it has none. */
  #routes: Routes | undefined;
  #closed = false;
  #changed = Promise.withResolvers<void>();

  constructor(service: string, host: ViewHost) {
    this.service = service;
    this.#host = host;
    const traffic = this.#traffic = host.traffic();
    if (host.ejection !== undefined) {
      const onChange = () => this.refresh();
      traffic.ejection = new Ejection(host.ejection, host.timers, host.logger, () => this.members, onChange);
    }
    this.#all = this.#select();
    this.#routes = this.#route();
    const { sources, platform, logger, cache } = host;
    const onDifference = (difference: Difference) => this.#apply(difference);
    // Routing rules come from the same centers, and must not be waited for when these are not.
    const onRestored = () => host.rules?.goOn();
    this.resolver = new Resolver(service, { sources, platform, logger, cache, onDifference, onRestored });
  }

  /** The instances, in the order of their ids, or in which their endpoints were given. */
  get members(): readonly Member[] {
    return this.#all.members;
  }

  /** Whether the registries have said who there is and where calls may go, be it only that they can't be reached. */
  get isKnown(): boolean {
    return this.resolver.isKnown && this.#host.rules?.isKnown !== false;
  }

  /** Whether it follows no longer. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Whether no call runs or waits. */
  get isIdle(): boolean {
    return this.waiting === 0 && this.#traffic.inFlight === 0;
  }

  /** Why nobody can be picked, in words. */
  get why(): string {
    const { failure, warming } = this.resolver;
    const known = this.members.length;
    return this.#closed
      ? "the client was closed"
      : known > 0
      ? `balancer "${this.#host.balancer.name}" chose none of its ${known} instances`
      : failure !== undefined
      ? `the registry ${isRefusal(failure) ? "does not tell" : "can't be reached"}: ${textOf(failure)}`
      : warming
      ? "no instance of it is registered yet, and the registry has only just started"
      : "no instance of it is registered";
  }

  /** Why nobody can be picked. */
  get problem(): RpcError {
    const { failure: cause } = this.resolver;
    return foundNobody(
      new RpcError("unavailable", `Cannot call service "${this.service}": ${this.why}`, { executed: "no", cause }),
    );
  }

  /** Resolves when the set, or what is known about it, changes. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /**
   * Picks an instance, or `undefined` when none will do, or none yet.
   * @throws {RpcError} when a routing rule leaves none, the balancer gives what it was not given, or the call is for an instance
   * that is not there
   */
  pick(call: Call): Member | undefined {
    if (call.instance !== undefined) return this.#named(call.instance, call.waitForReady);
    return this.#routes === undefined ? this.#all.pick(call) : this.#routes.pick(call);
  }

  /**
   * The members that such a call may go to, or so many of them, whom the balancer picks first.
   * @throws {RpcError} when a routing rule leaves none
   */
  reach(call: Call, count: number): readonly Member[] {
    const all = this.#routes === undefined ? this.members : this.#routes.reach(call);
    if (count >= all.length) return all;
    const selection = this.#select();
    selection.members = all;
    const chosen = new Set<Member>();
    const { procedure, hashKey } = call;
    while (chosen.size < count) {
      const member = selection.pick({ procedure, hashKey, avoid: [...chosen].map(({ endpoint }) => endpoint) });
      if (member === undefined || chosen.has(member)) break;
      chosen.add(member);
    }
    // Those whom balancing would rather not call, in case the others are too few.
    for (const member of all) if (chosen.size < count) chosen.add(member);
    return [...chosen];
  }

  /** Something about its members has changed: the state of a channel, or who is ejected. */
  refresh(): void {
    this.#all.refresh();
    this.#routes?.refresh();
  }

  /** Its routing rules have changed, or are known now. */
  reroute(): void {
    this.#routes = this.#route();
    this.#tell();
  }

  /** Stops following and lets go of the channels. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#changed.resolve();
    this.#traffic.ejection?.stop();
    await this.resolver.close();
    for (const member of this.#members.values()) this.#host.release(member.channel, this);
    this.#members.clear();
    this.#setMembers([]);
  }

  /** The one member that a call may go to, or `undefined` while it may yet turn up. */
  #named(id: string, waitForReady: boolean): Member | undefined {
    const member = this.#members.get(id);
    if (member !== undefined || waitForReady || !this.isKnown) return member;
    const text = `Cannot call instance "${id}" of service "${this.service}": it is not known`;
    throw foundNobody(new RpcError("unavailable", text, { executed: "no" }));
  }

  #select(): Selection {
    return new Selection(this.service, this.#host, this.#traffic);
  }

  #route(): Routes | undefined {
    const { rules, platform } = this.#host;
    const own = rules?.of(this.service);
    if (rules === undefined || own === "none") return undefined;
    return new Routes(own, this.#all, () => this.#select(), platform.random);
  }

  #setMembers(members: readonly Member[]): void {
    this.#all.members = members;
    this.#routes?.membersChanged();
  }

  #apply({ put, removed }: Difference): void {
    // Whoever the client began with is not new to it.
    const since = this.#members.size + this.#departed.size === 0 ? -Infinity : this.#traffic.now();
    for (const id of removed) this.#remove(id);
    for (const resolved of put) this.#put(resolved, since);
    if (put.length > 0 || removed.length > 0) {
      const members = [...this.#members.values()];
      if (!this.#host.sources[0].ordered) members.sort((a, b) => a.instance.id < b.instance.id ? -1 : 1);
      this.#setMembers(members);
    }
    this.#tell();
  }

  #tell(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  #put(resolved: Resolved, since: number): void {
    const { id, endpoints } = resolved.instance;
    const known = this.#members.get(id);
    const same = known !== undefined && sameTexts(known.instance.endpoints, endpoints);
    const channel = same ? known.channel : this.#host.acquire(endpoints, this);
    if (known !== undefined && !same) this.#host.release(known.channel, this);
    if (this.#host.warmUp && channel.state === "idle") channel.connect().catch(() => {}); // its state says it
    const before = known ?? this.#departed.get(id);
    this.#departed.delete(id);
    if (before?.isSame(resolved)) {
      before.update(resolved, channel);
      this.#members.set(id, before);
    } else {
      // A new process: whatever the old one was dialled in vain for is over.
      channel.hurry();
      this.#members.set(id, new Member(resolved, channel, this.#traffic, since));
    }
  }

  #remove(id: string): void {
    const known = this.#members.get(id);
    if (known === undefined) return;
    this.#members.delete(id);
    this.#host.release(known.channel, this);
    known.leave();
    this.#departed.set(id, known);
    for (const oldest of this.#departed.keys()) {
      if (this.#departed.size <= MAX_DEPARTED) break;
      this.#departed.delete(oldest);
    }
  }
}

/** Whether the registry was there, and said no. */
function isRefusal(failure: unknown): boolean {
  return failure instanceof RpcError && failure.code !== "unavailable" && failure.code !== "deadline_exceeded";
}
