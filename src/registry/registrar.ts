/**
 * Keeps one instance registered with one registry, whatever happens to that: registers, renews, and registers again when its
 * lease is not known any more. It never gives up; only `stop` ends it.
 */
import { type Backoff, waitAfterMs } from "../core/backoff.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { fraction, type Platform } from "../core/platform.ts";
import type { Instance } from "./instance.ts";
import type { Lease, Registry, RemovalCause } from "./registry.ts";

/**
 * Where a registration stands.
 *
 * - `registering`: it is not listed, or may not be any more, because the registry can't be reached
 * - `registered`: it is listed
 * - `refused`: the registry, or this side before it asked, found something wrong
 * - `fenced`: a newer process has taken the id, or an operator has drained this one
 * - `stopped`: it was ended
 *
 * In all of them but the last it is tried again.
 */
export type RegistrationState = "registering" | "registered" | "refused" | "fenced" | "stopped";

/** How the registration with one registry goes. */
export interface RegistrarStatus {
  /** The address of a center; `registry` for a registry of one's own. */
  readonly name: string;
  /** Where it stands. */
  readonly state: RegistrationState;
  /** The addresses that were last registered; none before the first time. */
  readonly endpoints: readonly string[];
  /** Why the last attempt failed, or `undefined` when it did not. */
  readonly error: string | undefined;
  /** How many attempts have failed since the last one that did not. */
  readonly failures: number;
  /** In how many milliseconds it registers or renews the next time; 0 while it does, `undefined` when it was ended. */
  readonly nextAttemptMs: number | undefined;
}

/** What a registry had to say when a server left it. */
export interface Farewell {
  /** The address of a center; `registry` for a registry of one's own. */
  readonly name: string;
  /**
   * `acknowledged`: everybody who follows it has acted on the removal; `unlisted`: the server was not listed there; `unproven`: nobody
   * can tell who has.
   */
  readonly state: "acknowledged" | "unlisted" | "unproven";
  /** Why it is not proven. */
  readonly why: string | undefined;
}

/** How an instance is kept registered. */
export interface RegistrarOptions {
  /** What the registry is called. */
  readonly name: string;
  /** How long the lease lasts without renewal. */
  readonly ttlMs: number;
  /** How often it is renewed, give or take a tenth. */
  readonly beatMs: number;
  /** How many calls the instance is running. Default: nobody is told. */
  readonly load?: () => number;
  /** The leases that any registry has given to the same process. Default: none. */
  readonly leases?: () => readonly Lease[];
}

/** For a registry that can't be reached. */
const UNREACHED: Backoff = { firstMs: 200, factor: 1.6, maxMs: 5_000, jitter: 0.5 };
/** For one that answers, and says no: it has to be told something else, or to change its mind. */
const REFUSED: Backoff = { firstMs: 1_000, factor: 2, maxMs: 30_000, jitter: 0.5 };

/** How long a registry may take to be told that an instance is gone, when nobody asks for proof. */
const STOP_MS = 1_000;

/** How long whoever leaves in good order waits for a registry that was just lost. */
const PATIENCE_MS = 1_000;

/** Keeps one instance registered with one registry. Whoever makes one stops it. */
export class Registrar {
  readonly #registry: Registry;
  readonly #describe: () => Instance | Promise<Instance>;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #options: RegistrarOptions;
  /** Ends the loop: nothing is begun any more. */
  readonly #stop = new AbortController();
  /** Ends what it is doing, too. */
  readonly #abort = new AbortController();
  readonly #loop: Promise<void>;
  readonly #attempted = Promise.withResolvers<void>();
  readonly #registered = Promise.withResolvers<void>();
  #state: RegistrationState = "registering";
  #lease: Lease | undefined;
  #renewedAt = -Infinity;
  #endpoints: readonly string[] = [];
  #error: string | undefined;
  #failures = 0;
  #nextAt = -Infinity;
  /** Whether what is registered is not what should be. */
  #outdated = true;
  /** Whether not to wait for the next beat. */
  #hurry = false;
  #wake: (() => void) | undefined;

  /**
   * Begins to register.
   * @param describe gives what to register, and is asked anew each time; what it throws is why it can't be registered
   */
  constructor(
    registry: Registry,
    describe: () => Instance | Promise<Instance>,
    platform: Platform,
    logger: Logger,
    options: RegistrarOptions,
  ) {
    this.#registry = registry;
    this.#describe = describe;
    this.#platform = platform;
    this.#logger = logger;
    this.#options = options;
    this.#loop = this.#run();
  }

  /** Resolves once it was tried for the first time, with or without success. */
  get attempted(): Promise<void> {
    return this.#attempted.promise;
  }

  /** Resolves once it was registered for the first time; never when it never is. */
  get registered(): Promise<void> {
    return this.#registered.promise;
  }

  /** How it goes. */
  get status(): RegistrarStatus {
    const now = this.#platform.clock.now();
    // A lease that was not renewed in its time may have ended.
    const doubtful = this.#state === "registered" && now - this.#renewedAt > this.#options.ttlMs;
    return {
      name: this.#options.name,
      state: doubtful ? "registering" : this.#state,
      endpoints: this.#endpoints,
      error: this.#error,
      failures: this.#failures,
      nextAttemptMs: this.#state === "stopped" ? undefined : Math.max(0, Math.ceil(this.#nextAt - now)),
    };
  }

  /** The lease that it holds, if it holds one. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** What is registered has changed: registers it again. */
  update(): void {
    this.#outdated = true;
    this.#hurry = true;
    this.#wake?.();
  }

  /** Ends it at once, and the listing with it. Never rejects. */
  async stop(): Promise<void> {
    this.#abort.abort();
    const late = new AbortController();
    using _timer = this.#platform.clock.timer(STOP_MS, () => late.abort(new Error(`it took over ${STOP_MS} ms`)));
    await this.#leave("deregistered", late.signal, 0);
  }

  /**
   * Ends it in good order: the listing too, and waits for the proof that whoever follows the registry has acted on that. Never
   * rejects; gives up when the signal aborts.
   */
  async leave(cause: RemovalCause, signal: AbortSignal): Promise<Farewell> {
    const { name } = this.#options;
    signal.addEventListener("abort", () => this.#abort.abort(signal.reason), { once: true });
    if (signal.aborted) this.#abort.abort(signal.reason);
    const unproven = (why: string): Farewell => ({ name, state: "unproven", why });
    const { lease, failure } = await this.#leave(cause, signal, PATIENCE_MS);
    if (failure !== undefined) return unproven(`it can't be told: ${textOf(failure)}`);
    if (lease === undefined) return { name, state: "unlisted", why: undefined };
    if (this.#registry.settled === undefined) return unproven("the registry can't tell");
    try {
      await this.#registry.settled(lease, { signal });
      return { name, state: "acknowledged", why: undefined };
    } catch (error) {
      return unproven(signal.aborted ? "not all who follow it have acknowledged it in time" : textOf(error));
    }
  }

  async #leave(
    cause: RemovalCause,
    signal: AbortSignal,
    patienceMs: number,
  ): Promise<{ lease?: Lease; failure?: unknown }> {
    this.#stop.abort();
    this.#wake?.();
    await this.#loop;
    const lease = this.#lease;
    this.#lease = undefined;
    this.#state = "stopped";
    this.#attempted.resolve();
    if (lease === undefined) return {};
    try {
      try {
        await unless(signal, this.#registry.deregister(lease, cause));
      } catch (error) {
        // It may have come back already, and nobody noticed that it was away.
        const waitMs = error instanceof RpcError ? error.retryAfterMs ?? Infinity : Infinity;
        if (waitMs > patienceMs) throw error;
        const { promise, resolve } = Promise.withResolvers<void>();
        using _timer = this.#platform.clock.timer(waitMs, resolve);
        await unless(signal, promise);
        await unless(signal, this.#registry.deregister(lease, cause));
      }
      return { lease };
    } catch (failure) {
      this.#logger.warn(`Cannot deregister at ${this.#options.name}; the lease will expire by itself`, failure);
      return { failure };
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        waitMs = await this.#beat();
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        waitMs = this.#failed(error);
      }
      this.#attempted.resolve();
      await this.#pause(waitMs);
    }
  }

  /** Does what is due, and says how long there is nothing to do after it. */
  async #beat(): Promise<number> {
    const { beatMs, ttlMs } = this.#options;
    const { random } = this.#platform;
    if (this.#lease === undefined || this.#outdated) {
      await this.#register();
      // Many that registered together, after a deployment or an outage, don't go on in step.
      return beatMs * fraction(random);
    }
    const load = this.#options.load?.();
    const result = await this.#registry.renew(this.#lease, { load, signal: this.#abort.signal });
    switch (result) {
      case "renewed":
        this.#listed();
        return beatMs * (0.9 + 0.2 * fraction(random));
      case "unknown":
        if (await this.#share()) return beatMs * (0.9 + 0.2 * fraction(random));
        this.#logger.warn(
          `${this.#options.name} does not know the lease of "${this.#lease.instanceId}": registering again`,
        );
        this.#lease = undefined;
        this.#state = "registering";
        return 0;
      case "fenced":
        this.#error = `A newer process has registered as "${this.#lease.instanceId}", or it was drained from outside`;
        this.#logger.error(`Cannot stay registered at ${this.#options.name}: ${this.#error}`);
        this.#lease = undefined;
        this.#state = "fenced";
        return ttlMs;
      default:
        throw new RpcError("internal", `Cannot renew: ${JSON.stringify(result)} is no answer to that`);
    }
  }

  async #register(): Promise<void> {
    const { ttlMs, name } = this.#options;
    this.#outdated = false;
    let instance: Instance;
    try {
      // It may ask the user, or a center that is out of reach: whoever ends this does not wait for that.
      instance = await unless(this.#abort.signal, Promise.try(this.#describe));
      this.#lease = await this.#registry.register(instance, { ttlMs, signal: this.#abort.signal });
    } catch (error) {
      this.#outdated = true;
      throw error;
    }
    this.#listed();
    this.#endpoints = instance.endpoints;
    this.#logger.info(
      `Registered ${instance.id} at ${name}: ${instance.endpoints.join(", ")} with ${instance.services.join(", ")}`,
    );
    this.#registered.resolve();
  }

  /**
   * Renews a lease that another registry gave. Where both are centers over one store it is known to this one too, and it was the
   * end of our own: registering again would only end it in turn.
   */
  async #share(): Promise<boolean> {
    for (const lease of this.#options.leases?.() ?? []) {
      if (lease.token === this.#lease?.token) continue;
      if (await this.#registry.renew(lease, { signal: this.#stop.signal }) !== "renewed") continue;
      this.#lease = lease;
      this.#listed();
      return true;
    }
    return false;
  }

  #listed(): void {
    this.#renewedAt = this.#platform.clock.now();
    this.#state = "registered";
    this.#error = undefined;
  }

  /** Takes note of a failure, and says how long to wait after it. */
  #failed(error: unknown): number {
    const { random } = this.#platform;
    const { name, ttlMs } = this.#options;
    const unreached = isUnreached(error);
    const news = this.#failures === 0 || this.#error !== textOf(error);
    this.#error = textOf(error);
    if (this.#state === "fenced") {
      // As long as the newer process is listed, that is why.
      this.#failures++;
      return ttlMs * (0.5 + fraction(random));
    }
    if (!unreached) this.#state = "refused";
    else if (this.#lease === undefined) this.#state = "registering";
    const waitMs = waitAfterMs(error, unreached ? UNREACHED : REFUSED, this.#failures, random);
    this.#failures++;
    const text = `Cannot stay registered at ${name}, next attempt in ${Math.round(waitMs)} ms`;
    if (news) this.#logger.warn(text, error);
    else this.#logger.debug(text, error);
    return waitMs;
  }

  async #pause(ms: number): Promise<void> {
    const hurry = this.#hurry;
    this.#hurry = false;
    if (this.#stop.signal.aborted || hurry || ms <= 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { clock } = this.#platform;
    this.#nextAt = clock.now() + ms;
    using _timer = clock.timer(ms, resolve);
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
    this.#hurry = false;
  }
}

/** What a promise comes to, unless the signal aborts first. */
function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** Whether it was not the registry that said no. */
function isUnreached(error: unknown): boolean {
  return error instanceof RpcError &&
    (error.code === "unavailable" || error.code === "deadline_exceeded" || error.code === "cancelled");
}
