/** Many instances as one invoker: finds them, picks one for each call, and keeps a channel to each. */
import type { Call, Invoker } from "../core/call.ts";
import type { ServedBy } from "../core/dedupe.ts";
import { RpcError } from "../core/error.ts";
import type { Explanation } from "../core/explanation.ts";
import type { Logger } from "../core/logger.ts";
import { hexId, type Platform } from "../core/platform.ts";
import { invoking, type Receiver } from "../core/receiver.ts";
import type { TextStore } from "../core/store.ts";
import type { Timers } from "../core/timers.ts";
import { waitFor } from "../core/wait.ts";
import type { Balancer } from "../balancer/balancer.ts";
import { Channel } from "../channel/channel.ts";
import type { Pace } from "../channel/pace.ts";
import type { Settings } from "../connection/settings.ts";
import type { Transport } from "../transport/transport.ts";
import { ListingCache } from "./listing_cache.ts";
import type { Member } from "./member.ts";
import type { EjectionOptions } from "./ejector.ts";
import { probing } from "./pace.ts";
import { RuleFollower } from "./rule_follower.ts";
import { ServiceView, type ViewHost } from "./service_view.ts";
import type { RuleSource, Source } from "./source.ts";
import { Traffic } from "./traffic.ts";

/** From so many views on, those are dropped that nobody has wanted for five minutes at least. */
const MANY_VIEWS = 100;
const UNWANTED_MS = 300_000;
/** With so many, the one goes for each that comes which nobody has wanted for the longest time. */
const MAX_VIEWS = 1_000;

/** How a cluster works. */
export interface ClusterOptions {
  /** Who is called next. */
  readonly balancer: Balancer;
  /** When instances that fail calls are left out; `undefined` for never. */
  readonly ejection: Readonly<Required<EjectionOptions>> | undefined;
  /** Whether instances are dialled as soon as they are known. */
  readonly warmUp: boolean;
  /** Where what registries list is kept for a later start. Default: nowhere. */
  readonly store?: TextStore;
}

/** Many instances as one invoker. */
export class Cluster implements ViewHost {
  readonly platform: Platform;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly balancer: Balancer;
  readonly ejection: Readonly<Required<EjectionOptions>> | undefined;
  readonly warmUp: boolean;
  readonly sources: readonly Source[];
  readonly rules: RuleFollower | undefined;
  readonly cache: ListingCache | undefined;
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #views = new Map<string, ServiceView>();
  readonly #channels = new Map<string, { channel: Channel; users: ServiceView[] }>();
  readonly #leaving = new Set<Channel>();
  readonly #dropping = new Set<Promise<void>>();
  /** Counts how often a view was wanted: the less of it a view has, the longer nobody wanted it. */
  #wants = 0;
  /** When views were last looked through, and how often one had been wanted by then. */
  #lookedAt = -Infinity;
  #wantsThen = 0;
  readonly #id: string;
  #closed = false;

  constructor(sources: readonly Source[], options: ClusterOptions, settings: Settings, transport: Transport) {
    this.sources = sources;
    this.balancer = options.balancer;
    this.ejection = options.ejection;
    this.warmUp = options.warmUp;
    this.timers = settings.timers;
    this.platform = settings.platform;
    this.logger = settings.logger;
    const { store } = options;
    this.cache = store === undefined ? undefined : new ListingCache(store, settings.platform, settings.logger);
    this.#settings = settings;
    this.#transport = transport;
    this.#id = settings.identity.instance || hexId(settings.platform.random, 16);
    const tellers = sources.filter((source): source is Source & RuleSource => source.watchRules !== undefined);
    this.rules = tellers.length === 0 ? undefined : new RuleFollower(tellers, this);
  }

  /** Where the client stands. */
  get zone(): string {
    return this.#settings.identity.zone;
  }

  /** What is known about each service that was called, of very many those of late. */
  get views(): readonly ServiceView[] {
    return [...this.#views.values()];
  }

  /** How many instances of a service are known, and how many of them are left out. */
  resolved(service: string): Pick<Explanation, "resolved" | "ejected" | "unreachable"> {
    const members = this.#views.get(service)?.members ?? [];
    return {
      resolved: members.length,
      ejected: members.filter(({ ejectedAt }) => ejectedAt !== undefined).length,
      unreachable: members.filter(({ channel }) => channel.state === "failing").length,
    };
  }

  /** Carries a call to an instance of its service. */
  carry(call: Call, receiver: Receiver): void {
    if (this.#closed) return receiver.onFailure(closedError());
    const view = this.#viewOf(call.service);
    let member: Member | undefined;
    try {
      member = call.bound === undefined ? view.pick(call) : boundMember(call, call.bound, view);
    } catch (error) {
      return receiver.onFailure(error as RpcError);
    }
    if (member === undefined) return void this.#carryLater(view, call, receiver);
    if (call.elsewhere && call.avoid?.includes(member.endpoint)) return receiver.onFailure(nowhereElse(call));
    member.carry(call, receiver);
  }

  /** The same as an invoker. */
  readonly invoke: Invoker = invoking((call, receiver) => this.carry(call, receiver));

  /**
   * The instances that a call may go to, or so many of them, whom the balancer picks first. Waits until the registries have
   * spoken, or with `waitForReady` until there is somebody.
   */
  async reach(call: Call, count: number): Promise<readonly Member[]> {
    if (this.#closed) throw closedError();
    const view = this.#viewOf(call.service);
    view.waiting++;
    try {
      for (;;) {
        const members = view.isKnown ? view.reach(call, count) : [];
        if (members.length > 0) return members;
        if (view.isClosed || (view.isKnown && !call.waitForReady)) throw view.problem;
        await waitFor(view.changed(), call, this.#settings.timers, () => looking(view));
      }
    } finally {
      view.waiting--;
    }
  }

  /** Finds out who offers a service, before the first call of it. */
  follow(service: string): void {
    this.#viewOf(service);
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#closed = true;
    const channels = [...this.#leaving, ...[...this.#channels.values()].map((held) => held.channel)];
    await Promise.all([this.rules?.close(), ...this.views.map((view) => view.close())]);
    await Promise.all([this.cache?.close(), ...this.#dropping, ...channels.map((channel) => channel.close())]);
    this.#views.clear();
  }

  traffic(): Traffic {
    const { identity, timers } = this.#settings;
    return new Traffic(identity.zone, this.#id, this.balancer.observes === true, timers);
  }

  acquire(endpoints: readonly string[], view: ServiceView): Channel {
    const key = keyOf(endpoints);
    let held = this.#channels.get(key);
    if (held === undefined) {
      const channel = new Channel(endpoints, this.#settings, this.#transport, this.#pace());
      const users: ServiceView[] = [];
      let leftOut = false;
      channel.onState = () => {
        // Only this changes who may be picked; a picker that is made anew for less begins its round again.
        const isOut = channel.state === "failing" || (this.warmUp && channel.state === "connecting");
        if (leftOut === isOut) return;
        leftOut = isOut;
        for (const user of users) user.refresh();
      };
      this.#channels.set(key, held = { channel, users });
    }
    held.users.push(view);
    return held.channel;
  }

  #pace(): Pace {
    return probing(this.platform.random, this.#settings.counters);
  }

  release({ endpoints }: Channel, view: ServiceView): void {
    const key = keyOf(endpoints);
    const held = this.#channels.get(key);
    if (held === undefined) return;
    held.users.splice(held.users.indexOf(view), 1);
    if (held.users.length > 0) return;
    this.#channels.delete(key);
    // Calls that are running there end in peace: leaving the list says nothing about them.
    const { channel } = held;
    this.#leaving.add(channel);
    void channel.retire().then(() => this.#leaving.delete(channel));
  }

  rulesChanged(services: Iterable<string> | "all"): void {
    for (const service of services === "all" ? this.#views.keys() : services) this.#views.get(service)?.reroute();
  }

  #viewOf(service: string): ServiceView {
    let view = this.#views.get(service);
    if (view === undefined) {
      this.rules?.start();
      this.#makeRoom();
      this.#views.set(service, view = new ServiceView(service, this));
    }
    view.wantedAt = ++this.#wants;
    return view;
  }

  /** Another view is about to come: where there are many, those go that nobody wanted of late, and whom no call needs. */
  #makeRoom(): void {
    if (this.#views.size < MANY_VIEWS) return;
    const now = this.platform.clock.now();
    if (now - this.#lookedAt >= UNWANTED_MS) {
      for (const view of this.views) if (view.wantedAt <= this.#wantsThen && view.isIdle) this.#drop(view);
      this.#lookedAt = now;
      this.#wantsThen = this.#wants;
    }
    if (this.#views.size < MAX_VIEWS) return;
    let longest: ServiceView | undefined;
    for (const view of this.#views.values()) {
      if (view.isIdle && (longest === undefined || view.wantedAt < longest.wantedAt)) longest = view;
    }
    if (longest !== undefined) this.#drop(longest);
  }

  #drop(view: ServiceView): void {
    this.#views.delete(view.service);
    const dropped = view.close().finally(() => this.#dropping.delete(dropped));
    this.#dropping.add(dropped);
  }

  /** Nobody is known: waits until the registry has spoken, or with `waitForReady` until there is somebody. */
  async #carryLater(view: ServiceView, call: Call, receiver: Receiver): Promise<void> {
    let member: Member | undefined;
    view.waiting++;
    try {
      do {
        if (view.isClosed || (view.isKnown && !call.waitForReady)) throw view.problem;
        await waitFor(view.changed(), call, this.#settings.timers, () => looking(view));
        member = call.bound === undefined ? view.pick(call) : boundMember(call, call.bound, view);
      } while (member === undefined);
    } catch (error) {
      return receiver.onFailure(error as RpcError);
    } finally {
      view.waiting--;
    }
    member.carry(call, receiver);
  }
}

/** What a call waits for while nobody is known, and why that lasts. */
function looking(view: ServiceView): string {
  return `looking for instances of service "${view.service}"${view.isKnown ? `: ${view.why}` : ""}`;
}

function closedError(): RpcError {
  return new RpcError("unavailable", "The client was closed", { executed: "no" });
}

/** Instances with the same endpoints share a connection. */
function keyOf(endpoints: readonly string[]): string {
  return endpoints.join(" ");
}

/** The only instance that remembers a call, or `undefined` while it is not known who is there. @throws {RpcError} when it is gone */
function boundMember({ procedure }: Call, { endpoint }: ServedBy, view: ServiceView): Member | undefined {
  const member = view.members.find((member) => member.endpoint === endpoint);
  if (member !== undefined || !view.isKnown) return member;
  throw new RpcError("unavailable", `Cannot repeat "${procedure}": ${endpoint}, which had it before, is gone`, {
    executed: "no",
    retryAfterMs: -1,
  });
}

function nowhereElse(call: Call): RpcError {
  return new RpcError("cancelled", `There is no other instance of service "${call.service}"`, { executed: "no" });
}
