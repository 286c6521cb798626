/**
 * The routing rules that one center last told of. They are kept for as long as it is silent, and also when it comes back with an
 * empty memory; what is set in it from then on replaces them.
 */
import { REDIAL, waitAfterMs } from "../core/backoff.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import { CompiledRule } from "../routing/compiled_rule.ts";
import { checkRule } from "../routing/rule.ts";
import type { RuleCursor, RuleEvent, ServiceRules } from "../routing/rule_book.ts";
import type { RuleSource } from "./source.ts";

/** What a feed needs of whoever follows. */
export interface FeedHost {
  readonly platform: Platform;
  readonly logger: Logger;
  /** Where the client stands. */
  readonly zone: string;
  /** The feed has been heard, or lost: the rules of these services are not what they were. */
  told(changed: Iterable<string>): void;
}

/** The routing rules of one center. Whoever makes one closes it. */
export class RuleFeed {
  /** The rules by service, in the order in which they are tried; a service without any is missing. */
  readonly rules = new Map<string, readonly CompiledRule[]>();
  readonly #source: RuleSource;
  readonly #host: FeedHost;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #cursor: RuleCursor | undefined;
  #watching = false;
  #heardAt = -Infinity;
  #failed = false;

  /** Begins to follow. */
  constructor(source: RuleSource, host: FeedHost) {
    this.#source = source;
    this.#host = host;
    this.#loop = this.#follow();
  }

  /** Whether the center can be heard. */
  get watching(): boolean {
    return this.#watching;
  }

  /** Whether it has said anything about rules, be it only that it can't be reached. */
  get isKnown(): boolean {
    return this.#watching || this.#failed;
  }

  /** Which version of its rules this is; 0 when there never was one. */
  get version(): number {
    return this.#cursor?.version ?? 0;
  }

  /** How long ago it could last be heard, in milliseconds: 0 while it can, `Infinity` when it never could. */
  get staleMs(): number {
    return this.#watching ? 0 : this.#host.platform.clock.now() - this.#heardAt;
  }

  /** Stops following. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { platform } = this.#host;
    for (let failures = 0; !signal.aborted;) {
      let failure: unknown;
      try {
        for await (const event of this.#source.watchRules({ signal, after: this.#cursor })) {
          failures = 0;
          this.#heard(event);
        }
        failure = new RpcError("unavailable", "The watch of the routing rules ended");
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      this.#lost(failure);
      await this.#pause(waitAfterMs(failure, REDIAL, failures++, platform.random));
    }
  }

  #heard({ epoch, version, complete, services }: RuleEvent): void {
    this.#watching = true;
    this.#failed = false;
    const isOther = this.#cursor !== undefined && this.#cursor.epoch !== epoch;
    // It has never had a rule, so it has forgotten those that this client has from its earlier life.
    if (isOther && version === 0) return this.#host.told([]);
    this.#cursor = { epoch, version };
    const changed = new Set(services.map(({ service }) => service));
    if (complete || isOther) {
      for (const service of this.rules.keys()) changed.add(service);
      this.rules.clear();
    }
    for (const page of services) this.#put(page);
    this.#host.told(changed);
  }

  #put({ service, rules }: ServiceRules): void {
    const { logger, zone } = this.#host;
    const compiled: CompiledRule[] = [];
    for (const rule of rules) {
      try {
        compiled.push(new CompiledRule(checkRule(rule)));
      } catch (error) {
        logger.warn(`Left out a routing rule of "${service}": ${textOf(error)}`);
      }
    }
    const own = compiled.filter((rule) => rule.admitsZone(zone));
    if (own.length > 0) this.rules.set(service, own);
    else this.rules.delete(service);
  }

  #lost(failure: unknown): void {
    const { logger, platform } = this.#host;
    const isNews = this.#watching || !this.#failed;
    if (this.#watching) this.#heardAt = platform.clock.now();
    this.#watching = false;
    this.#failed = true;
    if (isNews) {
      // A registry that is no center of this version need not know any rules.
      const level = failure instanceof RpcError && failure.code === "unimplemented" ? "debug" : "warn";
      logger[level]("Cannot follow the routing rules", failure);
    }
    this.#host.told([]);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    using _timer = this.#host.platform.clock.timer(ms, wake);
    signal.addEventListener("abort", wake);
    await promise;
    signal.removeEventListener("abort", wake);
  }
}
