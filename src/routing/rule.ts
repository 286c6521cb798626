/**
 * A routing rule: which calls it is about, and which instances they may go to. It is plain data, as JSON has it, so that it can
 * be written by hand, kept in a center, and pushed to clients.
 */
import { isMetadataKey, isMetadataText } from "../core/metadata.ts";
import { checkServiceName, procedureName } from "../core/service.ts";
import type { TextMatch, TextMatches } from "./text_match.ts";

/** Which calls a rule is about. All that is said must hold. */
export interface RuleCondition {
  /** What metadata the call must have. Of a key that repeats, the first value counts; bytes are only ever present. */
  readonly metadata?: TextMatches;
  /** Where the client must stand. */
  readonly zone?: TextMatch;
}

/** Some of a service's instances. All that is said must hold; nothing said means all of them. */
export interface RuleTarget {
  /** How many of a hundred calls go there, 0 to 100; those of a rule make 100. May be left out when there is one target. */
  readonly percent?: number;
  /** The instance's version. */
  readonly version?: TextMatch;
  /** Where it stands. */
  readonly zone?: TextMatch;
  /** What metadata, such as tags, it is registered with. */
  readonly metadata?: TextMatches;
  /** Its id. */
  readonly id?: TextMatch;
}

/**
 * Says where calls go. Of the rules of a service, the first that a call meets decides; a call that meets none may go anywhere.
 *
 * ```ts
 * import type { Rule } from "@erpc/erpc/extend";
 *
 * const canary: Rule = {
 *   name: "canary",
 *   service: "demo.Words",
 *   to: [{ percent: 10, version: "2" }, { percent: 90, version: "1" }],
 *   otherwise: "all",
 * };
 * ```
 */
export interface Rule {
  /** What it is called: 1 to 100 letters, digits, `_`, `-` and `.`. A center has one rule of each name. */
  readonly name: string;
  /** The service that it is about. */
  readonly service: string;
  /** The methods that it is about, at most 100. Default: all. */
  readonly methods?: readonly string[];
  /** When it comes, −1000 to 1000: the higher first, and those that have the same in the order of their names. Default 0. */
  readonly priority?: number;
  /** Which calls it is about. Default: all. */
  readonly when?: RuleCondition;
  /**
   * The metadata key whose value says which share a call belongs to: always the same one for the same value. Default: the call's
   * `hashKey`. A call that has neither goes by chance, each attempt anew.
   */
  readonly key?: string;
  /** Where the calls go: 1 to 16 sets of instances, each with its share. */
  readonly to: readonly RuleTarget[];
  /** What becomes of a call when its set is empty: it fails with `unavailable`, or it may go to all instances of the service. */
  readonly otherwise: "fail" | "all";
}

/** How large a rule may be, as JSON, in UTF-16 units. */
export const MAX_RULE_SIZE = 8 * 1024;

const NAME = /^[A-Za-z0-9][\w.-]{0,99}$/;
const MAX_METHODS = 100;
const MAX_TARGETS = 16;
const MAX_MATCHES = 16;
const MAX_TEXT = 256;
const MAX_PRIORITY = 1000;

const RULE: ReadonlySet<string> = new Set([
  "name",
  "service",
  "methods",
  "priority",
  "when",
  "key",
  "to",
  "otherwise",
]);
const CONDITION: ReadonlySet<string> = new Set(["metadata", "zone"]);
const TARGET: ReadonlySet<string> = new Set(["percent", "version", "zone", "metadata", "id"]);

/**
 * Checks a rule that came from outside, and gives back a copy of it that nobody can change.
 *
 * @throws {TypeError} that names the rule, the member, its value and what it may be
 */
export function checkRule(rule: unknown): Rule {
  if (!isObject(rule)) throw new TypeError(`Cannot use rule ${quoted(rule)}: it must be an object`);
  const { name, service, methods, priority, when, key, to, otherwise } = rule;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(`Cannot use rule ${quoted(name)}: its name must match ${NAME.source}`);
  }
  const check = new Check(name);
  check.members("rule", rule, RULE);
  if (typeof service !== "string") check.refuse("service", service, 'text such as "demo.Words"');
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority as number) <= MAX_PRIORITY)) {
    check.refuse("priority", priority, `a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}`);
  }
  if (key !== undefined && !(typeof key === "string" && isMetadataKey(key))) {
    check.refuse("key", key, "a metadata key, in lower case");
  }
  if (otherwise !== "fail" && otherwise !== "all") check.refuse("otherwise", otherwise, '"fail" or "all"');
  const checked = {
    name,
    service: checkServiceName(service as string),
    ...methods !== undefined && { methods: check.methods(service as string, methods) },
    ...priority !== undefined && { priority: priority as number },
    ...when !== undefined && { when: check.condition(when) },
    ...key !== undefined && { key: key as string },
    to: check.targets(to),
    otherwise: otherwise as Rule["otherwise"],
  };
  const size = JSON.stringify(checked).length;
  if (size > MAX_RULE_SIZE) check.refuse("size as JSON", size, `at most ${MAX_RULE_SIZE}`);
  return Object.freeze(checked);
}

/** Checks what belongs to one rule, so that errors can name it. */
class Check {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  refuse(member: string, value: unknown, what: string): never {
    throw new TypeError(`Cannot use rule "${this.#name}": its ${member} ${quoted(value)} must be ${what}`);
  }

  /** A member that is misspelled would make the rule say something else. */
  members(where: string, given: object, known: ReadonlySet<string>): void {
    const unknown = Object.keys(given).find((key) => !known.has(key));
    if (unknown !== undefined) {
      throw new TypeError(
        `Cannot use rule "${this.#name}": ${where} has no ${quoted(unknown)}, only ${[...known].join(", ")}`,
      );
    }
  }

  methods(service: string, methods: unknown): readonly string[] {
    if (!Array.isArray(methods) || methods.length === 0 || methods.length > MAX_METHODS) {
      this.refuse("methods", methods, `a list of 1 to ${MAX_METHODS}`);
    }
    for (const method of methods) {
      if (typeof method !== "string") this.refuse("method", method, "text");
      procedureName(`${service}/${method}`);
    }
    return Object.freeze([...methods]);
  }

  condition(when: unknown): RuleCondition {
    if (!isObject(when)) return this.refuse("when", when, "an object");
    this.members("when", when, CONDITION);
    const { metadata, zone } = when;
    return Object.freeze({
      ...metadata !== undefined && { metadata: this.matches("when.metadata", metadata, true) },
      ...zone !== undefined && { zone: this.match("when.zone", zone) },
    });
  }

  targets(to: unknown): readonly RuleTarget[] {
    if (!Array.isArray(to) || to.length === 0 || to.length > MAX_TARGETS) {
      return this.refuse("to", to, `a list of 1 to ${MAX_TARGETS}`);
    }
    const targets = to.map((target, index) => this.#target(`to[${index}]`, target, to.length === 1));
    const sum = targets.reduce((sum, { percent = 100 }) => sum + percent, 0);
    // Tenths and the like have no exact sum.
    if (Math.abs(sum - 100) > 1e-6) this.refuse("sum of percent", sum, "100");
    return Object.freeze(targets);
  }

  #target(where: string, target: unknown, isOnly: boolean): RuleTarget {
    if (!isObject(target)) return this.refuse(where, target, "an object");
    this.members(where, target, TARGET);
    const { percent, version, zone, metadata, id } = target;
    if (!(percent === undefined && isOnly) && !(typeof percent === "number" && percent >= 0 && percent <= 100)) {
      this.refuse(`${where}.percent`, percent, "a number from 0 to 100");
    }
    return Object.freeze({
      ...percent !== undefined && { percent: percent as number },
      ...version !== undefined && { version: this.match(`${where}.version`, version) },
      ...zone !== undefined && { zone: this.match(`${where}.zone`, zone) },
      ...metadata !== undefined && { metadata: this.matches(`${where}.metadata`, metadata, false) },
      ...id !== undefined && { id: this.match(`${where}.id`, id) },
    });
  }

  matches(where: string, matches: unknown, areMetadataKeys: boolean): TextMatches {
    if (!isObject(matches)) return this.refuse(where, matches, "an object");
    const entries = Object.entries(matches);
    if (entries.length > MAX_MATCHES) {
      this.refuse(`number of entries in ${where}`, entries.length, `at most ${MAX_MATCHES}`);
    }
    // Without a prototype, so that a key that comes from outside is a key like others.
    const copy: Record<string, TextMatch> = Object.create(null);
    for (const [key, match] of entries) {
      if (areMetadataKeys && !isMetadataKey(key)) this.refuse(`key in ${where}`, key, "a metadata key, in lower case");
      if (key.length > MAX_TEXT) this.refuse(`key in ${where}`, key, `at most ${MAX_TEXT} characters long`);
      copy[key] = this.match(`${where}.${key}`, match);
    }
    return Object.freeze(copy);
  }

  match(where: string, match: unknown): TextMatch {
    if (isText(match)) return match;
    if (isObject(match) && Object.keys(match).length === 1) {
      const { prefix, present } = match;
      if (isText(prefix) && prefix !== "") return Object.freeze({ prefix });
      if (typeof present === "boolean") return Object.freeze({ present });
    }
    return this.refuse(
      where,
      match,
      `text of at most ${MAX_TEXT} characters, or {"prefix": text}, or {"present": true or false}`,
    );
  }
}

/** No control characters: a text may be shown on a terminal. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TEXT && isMetadataText(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value from outside for an error's message: no more of it than a reader wants. */
function quoted(value: unknown): string {
  const MAX_QUOTED = 80;
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
    return `(a ${typeof value})`;
  }
  const text = value === undefined ? "undefined" : JSON.stringify(value);
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}
