/**
 * What registries listed, kept beyond the life of the process, for a start at which no registry can be reached. One text for each
 * registry and service.
 *
 * What is loaded is believed only when all of it is as it was saved.
 */
import { textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { TextStore } from "../core/store.ts";
import { murmur3 } from "../balancer/hash.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";

/** What was listed once. */
export interface OldListing {
  readonly instances: readonly Instance[];
  /** How long ago it was saved, in milliseconds, by clocks that may be wrong; never negative. */
  readonly ageMs: number;
}

/** What a registry lists. */
export interface CurrentListing {
  readonly instances: readonly Instance[];
  /** Whether it has just started, so that what is missing may only not have returned yet. */
  readonly warming: boolean;
}

/** How long changes are gathered before they are saved. */
const GATHER_MS = 1_000;
const FORMAT = "erpc listing 1";

/** What registries listed, kept beyond the life of the process. Whoever makes one closes it. */
export class ListingCache {
  readonly #store: TextStore;
  readonly #platform: Platform;
  readonly #logger: Logger;
  /** What is to be saved, by name. */
  readonly #pending = new Map<string, { source: string; service: string; listing: CurrentListing }>();
  #timer: Disposable | undefined;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  /** Makes a cache over a store. */
  constructor(store: TextStore, platform: Platform, logger: Logger) {
    this.#store = store;
    this.#platform = platform;
    this.#logger = logger;
  }

  /** What a registry listed under a service's name when it was last saved, or `undefined`. Never rejects. */
  async load(source: string, service: string): Promise<OldListing | undefined> {
    try {
      const text = await this.#store.load(nameOf(source, service));
      return text === undefined ? undefined : decode(text, source, service, this.#platform.clock.wall());
    } catch (error) {
      const what = `what ${source} listed of service "${service}" at an earlier time`;
      this.#logger.warn(`Cannot use ${what}, going on without: ${textOf(error)}`, error);
      return undefined;
    }
  }

  /** Saves what a registry lists, soon, as it is by then; nothing when that is nobody. */
  keep(source: string, service: string, listing: CurrentListing): void {
    if (this.#closed) return;
    this.#pending.set(nameOf(source, service), { source, service, listing });
    this.#timer ??= this.#platform.clock.timer(GATHER_MS, () => {
      this.#timer = undefined;
      this.#save();
    });
  }

  /** Saves what is still to be saved. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#save();
    await this.#saving;
  }

  /** One after another: a slow disk must not have many of them to do. */
  #save(): void {
    const now = this.#platform.clock.wall();
    const texts = [...this.#pending].flatMap(([name, { source, service, listing: { instances, warming } }]) =>
      instances.length === 0 ? [] : [{ name, warming, text: encode(source, service, instances, now) }]
    );
    this.#pending.clear();
    this.#saving = this.#saving.then(async () => {
      for (const { name, warming, text } of texts) {
        try {
          // What an earlier process knew is more than what a registry lists that has just started.
          if (!warming || await this.#store.load(name) === undefined) await this.#store.save(name, text);
        } catch (error) {
          this.#logger.warn(`Cannot keep what is listed for a later start: ${textOf(error)}`, error);
        }
      }
    });
  }
}

/** A name that every file system takes: what can be read of it is for people, the number tells one from another. */
function nameOf(source: string, service: string): string {
  const readable = `${source}-${service}`.replaceAll(/[^\w.]+/g, "-").slice(0, 100);
  const number = murmur3(`${source} ${service}`).toString(16).padStart(8, "0");
  return `${readable}-${number}.txt`;
}

function encode(source: string, service: string, instances: readonly Instance[], savedAt: number): string {
  const body = JSON.stringify({ source, service, savedAt, instances });
  return `${FORMAT} ${checksumOf(body)}\n${body}\n`;
}

function decode(text: string, source: string, service: string, now: number): OldListing {
  const [head, body = "", rest, ...more] = text.split("\n");
  if (head !== `${FORMAT} ${checksumOf(body)}` || rest !== "" || more.length > 0) {
    throw new TypeError("it is torn, or was written by somebody else");
  }
  const saved = JSON.parse(body);
  if (saved.source !== source || saved.service !== service) throw new TypeError("it is about something else");
  if (!Array.isArray(saved.instances) || typeof saved.savedAt !== "number") throw new TypeError("it is no listing");
  return { instances: saved.instances.map(checkInstance), ageMs: Math.max(0, now - saved.savedAt) };
}

function checksumOf(body: string): string {
  return [1, 2].map((seed) => murmur3(body, seed).toString(16).padStart(8, "0")).join("");
}
