/**
 * Keeps one instance registered, whatever happens to the registry: registers, renews, and registers again when its lease is
 * not known any more. It never gives up; only `stop` ends it.
 */
import { type Backoff, backoffMs } from "../core/backoff.ts";
import type { Logger } from "../core/logger.ts";
import { fraction, type Platform } from "../core/platform.ts";
import type { Instance } from "./instance.ts";
import type { Lease, Registry, RemovalCause } from "./registry.ts";

/** Where a registrar stands. `fenced` is final: a newer process has taken the id. */
export type RegistrationState = "registering" | "registered" | "fenced" | "stopped";

/** How an instance is kept registered. */
export interface RegistrarOptions {
  /** How long the lease lasts without renewal. */
  readonly ttlMs: number;
  /** How often it is renewed, give or take a tenth. */
  readonly beatMs: number;
}

const RETRY: Backoff = { firstMs: 200, factor: 1.6, maxMs: 5_000, jitter: 0.5 };

/** Keeps one instance registered. Whoever makes one stops it. */
export class Registrar {
  readonly #registry: Registry;
  readonly #instance: () => Instance | Promise<Instance>;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #options: RegistrarOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #state: RegistrationState = "registering";
  #lease: Lease | undefined;
  #firstDone!: () => void;
  #changed = false;
  #wake: (() => void) | undefined;

  /** Resolves once it was tried for the first time, with or without success. */
  readonly attempted: Promise<void>;

  /** @param instance what to register, asked for anew each time */
  constructor(
    registry: Registry,
    instance: () => Instance | Promise<Instance>,
    platform: Platform,
    logger: Logger,
    options: RegistrarOptions,
  ) {
    this.#registry = registry;
    this.#instance = instance;
    this.#platform = platform;
    this.#logger = logger;
    this.#options = options;
    this.attempted = new Promise((resolve) => this.#firstDone = resolve);
    this.#loop = this.#run();
  }

  /** Where it stands. */
  get state(): RegistrationState {
    return this.#state;
  }

  /** The lease that it holds, if it holds one. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** What is registered has changed: registers it again. */
  update(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Ends it, and the listing with it. */
  async stop(cause: RemovalCause = "deregistered"): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#loop;
    const lease = this.#lease;
    this.#lease = undefined;
    if (this.#state !== "fenced") this.#state = "stopped";
    this.#firstDone();
    if (lease === undefined) return;
    try {
      await this.#registry.deregister(lease, cause);
    } catch (error) {
      this.#logger.warn("Cannot deregister; the lease will expire by itself", error);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      try {
        if (this.#lease === undefined || this.#changed) await this.#register();
        else if (!await this.#renew(this.#lease)) continue;
        failures = 0;
        await this.#pause(this.#options.beatMs * (0.9 + 0.2 * fraction(this.#platform.random)));
      } catch (error) {
        if (signal.aborted) return;
        this.#firstDone();
        const waitMs = backoffMs(RETRY, failures++, this.#platform.random);
        this.#logger.warn(`Cannot stay registered, next attempt in ${Math.round(waitMs)} ms`, error);
        await this.#pause(waitMs);
      }
      if (this.#state === "fenced") return;
    }
  }

  async #register(): Promise<void> {
    if (this.#lease === undefined) this.#state = "registering";
    this.#changed = false;
    const instance = await this.#instance();
    this.#lease = await this.#registry.register(instance, { ttlMs: this.#options.ttlMs, signal: this.#stop.signal });
    this.#state = "registered";
    this.#logger.info(
      `Registered ${instance.id} at ${instance.endpoints.join(", ")} with ${instance.services.join(", ")}`,
    );
    this.#firstDone();
  }

  /** Renews; false when that was to no avail. */
  async #renew(lease: Lease): Promise<boolean> {
    const result = await this.#registry.renew(lease, { signal: this.#stop.signal });
    if (result === "renewed") return true;
    this.#lease = undefined;
    if (result === "fenced") {
      this.#state = "fenced";
      this.#logger.error(`A newer process has registered as "${lease.instanceId}": this one stays away`);
      return true;
    }
    this.#logger.warn(`The registry does not know the lease of "${lease.instanceId}" any more: registering again`);
    return false;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stop.signal.aborted || this.#changed || this.#state === "fenced") return;
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#platform.clock.timer(ms, resolve);
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }
}
