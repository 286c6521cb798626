/**
 * Which rules there are, and which were set since when: the book-keeping behind a center's rules. It owns no timer and no socket.
 *
 * Invariants: each change has the version after the last; a service is remembered, with an empty list, for some time after its
 * last rule went, so that those who follow learn of it; what goes into the book is never changed again.
 */
import { RpcError } from "../core/error.ts";
import { checkServiceName } from "../core/service.ts";
import { byPriority } from "./compiled_rule.ts";
import { checkRule, type Rule } from "./rule.ts";

/** A place in the life of a rule book. Versions of two epochs can't be compared. */
export interface RuleCursor {
  /** Names one life of the book. */
  readonly epoch: string;
  /** Counts the changes in it; 0 means that there never was a rule. */
  readonly version: number;
}

/** The rules of some services. */
export interface RuleEvent extends RuleCursor {
  /** Whether services that are not among these have no rules. Otherwise they have those that they had. */
  readonly complete: boolean;
  /** For each service all its rules, in the order in which they are tried. */
  readonly services: readonly ServiceRules[];
}

/** All rules of one service, in the order in which they are tried. */
export interface ServiceRules {
  /** The service's full name. */
  readonly service: string;
  /** Its rules; none when the last one was removed. */
  readonly rules: readonly Rule[];
}

/** A rule book as JSON has it, to be kept on a disk. */
export interface SavedRules extends RuleCursor {
  /** All rules. */
  readonly rules: readonly Rule[];
}

/** How to follow a rule book. */
export interface RuleWatchOptions {
  /** Ends it without an error. */
  readonly signal?: AbortSignal;
  /** Where an earlier watch ended. Default: from the beginning. */
  readonly after?: RuleCursor;
}

const MAX_RULES = 1000;
const MAX_RULES_PER_SERVICE = 64;
/** How many services are remembered whose last rule is gone. */
const MAX_EMPTIED = 1000;
/** How large they may be together, as JSON, in UTF-16 units: all of them must go into one message. */
const MAX_SIZE = 1024 * 1024;

interface Page {
  rules: readonly Rule[];
  changedAt: number;
}

/** The rules of a center: at most 1000, 64 for one service, and together not over 2^20 characters of JSON. */
export class RuleBook {
  /** Names this life of the book. */
  readonly epoch: string;
  readonly #rules = new Map<string, Rule>();
  readonly #pages = new Map<string, Page>();
  #version = 0;
  #size = 0;
  /** Whoever follows from before this version may have missed that a service has no rules any more. */
  #forgottenAt = 0;
  #changed = Promise.withResolvers<void>();

  /** Opens an empty book. @param epoch a text that no other life of the book has */
  constructor(epoch: string) {
    this.epoch = epoch;
  }

  /** Opens a book that was saved. @throws {TypeError} {RpcError} when it can't have been one */
  static from(saved: unknown): RuleBook {
    const { epoch, version, rules } = (saved ?? {}) as Partial<SavedRules>;
    if (typeof epoch !== "string" || !Number.isSafeInteger(version) || !(version! >= 0) || !Array.isArray(rules)) {
      throw new TypeError("Cannot open the rules that were saved: they must have epoch, version and rules");
    }
    const book = new RuleBook(epoch);
    for (const rule of rules) book.set(rule);
    book.#version = Math.max(version!, book.#version);
    // Nobody can tell any more which services had rules once.
    book.#forgottenAt = book.#version;
    for (const page of book.#pages.values()) page.changedAt = book.#version;
    return book;
  }

  /** How many changes there have been. */
  get version(): number {
    return this.#version;
  }

  /** How many rules there are. */
  get size(): number {
    return this.#rules.size;
  }

  /**
   * Puts a rule into the book, in the place of the one of the same name. One that is in it already is no change.
   *
   * @returns the version of the book from then on
   * @throws {TypeError} when the rule can't be used
   * @throws {RpcError} `resource_exhausted` when there are too many
   */
  set(rule: Rule): number {
    const checked = checkRule(rule);
    const before = this.#rules.get(checked.name);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(checked)) return this.#version;
    const page = this.rules(checked.service);
    const isNewThere = before?.service !== checked.service;
    if (before === undefined && this.#rules.size >= MAX_RULES) throw tooMany(checked, `${MAX_RULES} rules`);
    if (isNewThere && page.length >= MAX_RULES_PER_SERVICE) {
      throw tooMany(checked, `${MAX_RULES_PER_SERVICE} rules for "${checked.service}"`);
    }
    const size = this.#size + sizeOf(checked) - (before === undefined ? 0 : sizeOf(before));
    if (size > MAX_SIZE) throw tooMany(checked, `${this.#size} characters of JSON in rules`);
    this.#size = size;
    this.#version++;
    if (before !== undefined && isNewThere) {
      this.#write(before.service, without(this.rules(before.service), before.name));
    }
    this.#rules.set(checked.name, checked);
    this.#write(checked.service, [...without(page, checked.name), checked].sort(byPriority));
    this.#tell();
    return this.#version;
  }

  /** Takes a rule out of the book. Says whether it was there. */
  remove(name: string): boolean {
    const before = this.#rules.get(name);
    if (before === undefined) return false;
    this.#version++;
    this.#size -= sizeOf(before);
    this.#rules.delete(name);
    this.#write(before.service, without(this.rules(before.service), name));
    this.#tell();
    return true;
  }

  /** The rule of a name. */
  get(name: string): Rule | undefined {
    return this.#rules.get(name);
  }

  /** The rules of a service in the order in which they are tried; of all services, by their names, when none is given. */
  rules(service?: string): readonly Rule[] {
    if (service !== undefined) return this.#pages.get(checkServiceName(service))?.rules ?? [];
    return [...this.#pages.keys()].sort().flatMap((name) => this.#pages.get(name)!.rules);
  }

  /** What has changed since a place in this book; everything when that can't be told (any more), or no place is given. */
  after(cursor?: RuleCursor): RuleEvent {
    const { epoch } = this;
    const version = this.#version;
    const place = cursor?.epoch === epoch ? cursor.version : -1;
    const complete = !(place >= this.#forgottenAt && place <= version);
    const services = [...this.#pages]
      .filter(([, page]) => complete ? page.rules.length > 0 : page.changedAt > place)
      .map(([service, { rules }]) => ({ service, rules }));
    return { epoch, version, complete, services };
  }

  /**
   * Follows the book: at once what has changed since the place given, then each change. A reader that is slow is told of
   * several at once.
   */
  async *watch({ after, signal }: RuleWatchOptions = {}): AsyncGenerator<RuleEvent, void> {
    let wake = () => {};
    const leave = () => wake();
    signal?.addEventListener("abort", leave);
    try {
      for (let place = after, first = true; !signal?.aborted; first = false) {
        const changed = this.changed();
        const event = this.after(place);
        place = event;
        // Whoever resumed is told at once that it worked, even if there is nothing to tell.
        if (first || event.services.length > 0) yield event;
        if (signal?.aborted) return;
        // Not a race with a promise that lasts as long as the watch: that would remember every change.
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        void changed.then(resolve);
        await promise;
      }
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  /** Resolves with the next change: for those who keep the book somewhere. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** The book as `from` takes it. */
  toJSON(): SavedRules {
    return { epoch: this.epoch, version: this.#version, rules: this.rules() };
  }

  #write(service: string, rules: readonly Rule[]): void {
    // Taken out first, so that the pages are in the order in which they were written.
    this.#pages.delete(service);
    this.#pages.set(service, { rules: Object.freeze(rules), changedAt: this.#version });
    if (rules.length > 0) return;
    const emptied = [...this.#pages].filter(([, page]) => page.rules.length === 0);
    if (emptied.length <= MAX_EMPTIED) return;
    const [oldest, page] = emptied[0];
    this.#pages.delete(oldest);
    this.#forgottenAt = page.changedAt;
  }

  #tell(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}

function without(rules: readonly Rule[], name: string): Rule[] {
  return rules.filter((rule) => rule.name !== name);
}

function sizeOf(rule: Rule): number {
  return JSON.stringify(rule).length;
}

function tooMany({ name }: Rule, what: string): RpcError {
  return new RpcError("resource_exhausted", `Cannot set rule "${name}": there are ${what} already`, {
    executed: "no",
    retryAfterMs: -1,
  });
}
