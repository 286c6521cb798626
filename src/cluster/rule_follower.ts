/**
 * The routing rules that a client goes by. It follows every center, and goes by one at a time: of those that it can hear and
 * that ever had a rule, the first in its list. When it can hear none of these, it stays with the one that it went by last.
 */
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { CompiledRule } from "../routing/compiled_rule.ts";
import { RuleFeed } from "./rule_feed.ts";
import type { RuleSource } from "./source.ts";

/** What a follower needs of the cluster. */
export interface RuleHost {
  readonly platform: Platform;
  readonly logger: Logger;
  /** Where the client stands. */
  readonly zone: string;
  /** The rules of some services are not what they were, or it is known now that there are none. */
  rulesChanged(services: Iterable<string> | "all"): void;
}

/** The routing rules that a client goes by. Whoever makes one closes it. */
export class RuleFollower {
  readonly #sources: readonly RuleSource[];
  readonly #host: RuleHost;
  readonly #feeds: RuleFeed[] = [];
  #chosen: RuleFeed | undefined;
  #isKnown = false;

  constructor(sources: readonly RuleSource[], host: RuleHost) {
    this.#sources = sources;
    this.#host = host;
  }

  /** Whether it is known what the rules are: a center has told, or none can be reached, or nobody wants to wait. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Whether any center can be heard. */
  get watching(): boolean {
    return this.#feeds.some((feed) => feed.watching);
  }

  /** Which version of its center's rules it goes by; 0 when there never was a rule. */
  get version(): number {
    return this.#chosen?.version ?? 0;
  }

  /** How many rules there are for this client. */
  get size(): number {
    let size = 0;
    for (const rules of this.#chosen?.rules.values() ?? []) size += rules.length;
    return size;
  }

  /** How old the rules may be, in milliseconds: 0 while its center can be heard, `Infinity` when none ever could. */
  get staleMs(): number {
    return this.#chosen?.staleMs ?? Math.min(...this.#feeds.map((feed) => feed.staleMs));
  }

  /** The rules of a service in the order in which they are tried, if there are any; `undefined` while nobody knows. */
  of(service: string): readonly CompiledRule[] | "none" | undefined {
    return this.#isKnown ? this.#chosen?.rules.get(service) ?? "none" : undefined;
  }

  /** Begins to follow; harmless when it does. */
  start(): void {
    if (this.#feeds.length > 0) return;
    const { platform, logger, zone } = this.#host;
    for (const source of this.#sources) {
      const feed: RuleFeed = new RuleFeed(source, {
        platform,
        logger,
        zone,
        told: (changed) => this.#told(feed, changed),
      });
      this.#feeds.push(feed);
    }
  }

  /** Has calls wait no longer for the first word of a center. */
  goOn(): void {
    if (this.#isKnown) return;
    this.#isKnown = true;
    this.#host.rulesChanged("all");
  }

  /** Stops following. */
  async close(): Promise<void> {
    await Promise.all(this.#feeds.map((feed) => feed.close()));
  }

  #told(feed: RuleFeed, changed: Iterable<string>): void {
    const before = this.#chosen;
    this.#chosen = this.#feeds.find(({ watching, version }) => watching && version > 0) ?? before;
    const wasKnown = this.#isKnown;
    this.#isKnown ||= this.watching || this.#feeds.every(({ isKnown }) => isKnown);
    if (wasKnown !== this.#isKnown || this.#chosen !== before) this.#host.rulesChanged("all");
    else if (this.#chosen === feed) this.#host.rulesChanged(changed);
  }
}
