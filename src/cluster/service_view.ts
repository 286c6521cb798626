/**
 * What a client knows about one service: the instances that the registry last told of, and who is picked next.
 *
 * The set is kept for as long as the registry is silent. A registry that has just started does not shrink it.
 */
import { backoffMs, REDIAL } from "../core/backoff.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { Balancer, PickRequest } from "../balancer/balancer.ts";
import type { Channel } from "../channel/channel.ts";
import type { Instance } from "../registry/instance.ts";
import type { Cursor, WatchEvent } from "../registry/registry.ts";
import type { Source } from "./fixed.ts";
import { Member } from "./member.ts";
import { Selection } from "./selection.ts";

/** What a view needs of the cluster. */
export interface ViewHost {
  readonly platform: Platform;
  readonly logger: Logger;
  readonly balancer: Balancer;
  readonly source: Source;
  /** The channel to an endpoint, counted once more; each is released once. */
  acquire(endpoint: string, view: ServiceView): Channel;
  /** Counted once less. */
  release(endpoint: string, view: ServiceView): void;
}

/** What a client knows about one service. */
export class ServiceView {
  /** Its name. */
  readonly service: string;
  /** When the registry was last heard, on the platform's clock; `-Infinity` before that. */
  heardAt = -Infinity;
  /** Whether the registry can be heard now. */
  watching = false;
  readonly #host: ViewHost;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  readonly #members = new Map<string, Member>();
  readonly #all: Selection;
  #cursor: Cursor | undefined;
  #failure: unknown;
  #changed = Promise.withResolvers<void>();

  constructor(service: string, host: ViewHost) {
    this.service = service;
    this.#host = host;
    this.#all = new Selection(service, host.balancer, host.platform.random);
    this.#loop = this.#follow();
  }

  /** The instances, in the order of their ids. */
  get members(): readonly Member[] {
    return this.#all.members;
  }

  /** Whether the registry has said anything about it, be it only that it can't be reached. */
  get isKnown(): boolean {
    return this.#cursor !== undefined || this.#failure !== undefined;
  }

  /** Whether it follows no longer. */
  get isClosed(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Why nobody can be picked. */
  get problem(): RpcError {
    const why = this.isClosed
      ? "the client was closed"
      : this.#cursor === undefined
      ? `the registry can't be reached: ${textOf(this.#failure)}`
      : "no instance of it is registered";
    return new RpcError("unavailable", `Cannot call service "${this.service}": ${why}`, {
      executed: "no",
      retryAfterMs: -1, // trying again at once would find the same
      cause: this.#cursor === undefined ? this.#failure : undefined,
    });
  }

  /** Resolves when the set, or what is known about it, changes. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Picks an instance, or `undefined` when there is none. @throws {RpcError} when the balancer gives what it was not given */
  pick(request: PickRequest): Member | undefined {
    return this.#all.pick(request);
  }

  /** The state of a channel changed. */
  refresh(): void {
    this.#all.refresh();
  }

  /** Stops following and lets go of the channels. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#changed.resolve();
    await this.#loop;
    for (const member of this.#members.values()) this.#host.release(member.endpoint, this);
    this.#members.clear();
    this.#all.members = [];
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { source, platform, logger } = this.#host;
    for (let failures = 0; !signal.aborted;) {
      try {
        for await (const event of source.watch(this.service, { signal, after: this.#cursor })) {
          failures = 0;
          this.watching = true;
          this.#apply(event);
        }
      } catch (error) {
        if (this.watching || failures === 0) logger.warn(`Lost sight of service "${this.service}"`, error);
        this.#failure = error;
      }
      this.watching = false;
      if (signal.aborted) return;
      this.#tell();
      await this.#pause(backoffMs(REDIAL, failures++, platform.random));
    }
  }

  #apply(event: WatchEvent): void {
    this.heardAt = this.#host.platform.clock.now();
    this.#cursor = { epoch: event.epoch, revision: event.revision };
    this.#failure = undefined;
    if (event.kind === "snapshot") {
      const listed = new Set(event.instances.map((instance) => instance.id));
      if (!event.warming) {
        for (const id of [...this.#members.keys()]) if (!listed.has(id)) this.#remove(id);
      }
      for (const instance of event.instances) this.#put(instance);
    } else {
      for (const change of event.changes) {
        if (change.kind === "put") this.#put(change.instance);
        else this.#remove(change.instanceId);
      }
    }
    this.#all.members = [...this.#members.values()].sort((a, b) => a.instance.id < b.instance.id ? -1 : 1);
    this.#tell();
  }

  #put(instance: Instance): void {
    const known = this.#members.get(instance.id);
    const endpoint = instance.endpoints[0];
    const channel = known?.endpoint === endpoint ? known.channel : this.#host.acquire(endpoint, this);
    if (known !== undefined && known.channel !== channel) this.#host.release(known.endpoint, this);
    this.#members.set(instance.id, new Member(instance, channel));
  }

  #remove(id: string): void {
    const known = this.#members.get(id);
    if (known === undefined) return;
    this.#members.delete(id);
    this.#host.release(known.endpoint, this);
  }

  #tell(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#host.platform.clock.timer(ms, resolve);
    this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }
}
