/** A rule as it is applied: to every call of a service that has rules, so everything that can be known before is. */
import type { Metadata } from "../core/metadata.ts";
import type { Random } from "../core/platform.ts";
import { murmur3 } from "../balancer/hash.ts";
import type { Instance } from "../registry/instance.ts";
import type { Rule, RuleTarget } from "./rule.ts";
import { describeMatch, matchesText, type TextMatch, type TextMatches } from "./text_match.ts";

/** What a rule goes by in a call. */
export interface RoutedCall {
  /** The full name of what is called. */
  readonly procedure: string;
  /** The call's `hashKey`. */
  readonly hashKey: string | undefined;
  /** Whether there is any metadata, without making it. */
  readonly hasMetadata: boolean;
  /** What goes with the request. */
  readonly metadata: Metadata;
}

/** What a rule goes by in an instance. */
export type RoutedInstance = Pick<Instance, "id" | "zone" | "version" | "metadata">;

/** A rule that is ready to be applied. */
export class CompiledRule {
  readonly rule: Rule;
  readonly #procedures: ReadonlySet<string> | undefined;
  readonly #metadata: readonly (readonly [key: string, match: TextMatch])[];
  readonly #seed: number;
  /** For each target, below which number of 32 bits a call's draw must be to get there, or behind it. */
  readonly #bounds: readonly number[];

  /** Takes a rule that was checked. */
  constructor(rule: Rule) {
    this.rule = rule;
    this.#procedures = rule.methods && new Set(rule.methods.map((method) => `${rule.service}/${method}`));
    this.#metadata = Object.entries(rule.when?.metadata ?? {});
    // Keys that are in the tenth of one rule need not be in the tenth of another; nor do they sit together on the hash ring.
    this.#seed = murmur3(rule.name);
    let sum = 0;
    this.#bounds = rule.to.map(({ percent = 100 }) => Math.round((sum += percent) / 100 * 2 ** 32));
  }

  /** Whether it is about calls from a zone. */
  admitsZone(zone: string): boolean {
    const match = this.rule.when?.zone;
    return match === undefined || matchesText(match, zone);
  }

  /** Whether it is about a call, as far as its method and its metadata go. */
  admits(call: RoutedCall): boolean {
    if (this.#procedures !== undefined && !this.#procedures.has(call.procedure)) return false;
    for (const [key, match] of this.#metadata) {
      if (!matchesText(match, textOf(call, key))) return false;
    }
    return true;
  }

  /** Why it is not about a call, or `undefined` when it is. */
  whyNot(call: RoutedCall, zone: string): string | undefined {
    if (this.#procedures !== undefined && !this.#procedures.has(call.procedure)) {
      return `the method is not ${this.rule.methods!.join(" or ")}`;
    }
    if (!this.admitsZone(zone)) return `the client's zone is not ${describeMatch(this.rule.when!.zone!)}`;
    const failed = this.#metadata.find(([key, match]) => !matchesText(match, textOf(call, key)));
    return failed && `metadata ${failed[0]} is not ${describeMatch(failed[1])}`;
  }

  /** The text that says which share a call belongs to, or `undefined` when chance does. */
  keyOf(call: RoutedCall): string | undefined {
    const { key } = this.rule;
    return key === undefined ? call.hashKey : textOf(call, key);
  }

  /** Which of its targets a call goes to. */
  targetOf(call: RoutedCall, random: Random): number {
    const bounds = this.#bounds;
    if (bounds.length === 1) return 0;
    const key = this.keyOf(call);
    const drawn = key === undefined ? random.u32() : murmur3(key, this.#seed);
    for (let target = 0; target < bounds.length; target++) if (drawn < bounds[target]) return target;
    return bounds.length - 1; // what rounding left over
  }
}

/** Whether an instance belongs to a target. */
export function isTargeted({ id, version, zone, metadata }: RuleTarget, instance: RoutedInstance): boolean {
  return (id === undefined || matchesText(id, instance.id)) &&
    (version === undefined || matchesText(version, instance.version)) &&
    (zone === undefined || matchesText(zone, instance.zone)) &&
    (metadata === undefined || hasMetadata(metadata, instance.metadata));
}

/** Which instances a target takes, in words. */
export function describeTarget({ id, version, zone, metadata }: RuleTarget): string {
  const parts: string[] = [];
  if (id !== undefined) parts.push(`id ${describeMatch(id)}`);
  if (version !== undefined) parts.push(`version ${describeMatch(version)}`);
  if (zone !== undefined) parts.push(`zone ${describeMatch(zone)}`);
  for (const [key, match] of Object.entries(metadata ?? {})) parts.push(`${key} ${describeMatch(match)}`);
  return parts.length === 0 ? "any instance" : parts.join(", ");
}

/** The order in which the rules of a service are tried. */
export function byPriority(a: Rule, b: Rule): number {
  const difference = (b.priority ?? 0) - (a.priority ?? 0);
  if (difference !== 0) return difference;
  return a.name < b.name ? -1 : a.name === b.name ? 0 : 1;
}

function hasMetadata(matches: TextMatches, metadata: Readonly<Record<string, string>>): boolean {
  for (const key of Object.keys(matches)) {
    // The instance's metadata came from outside, and may have a prototype.
    if (!matchesText(matches[key], Object.hasOwn(metadata, key) ? metadata[key] : undefined)) return false;
  }
  return true;
}

/** The first value of a metadata key; bytes become a text that is neither empty nor anything that a rule can ask for. */
function textOf(call: RoutedCall, key: string): string | undefined {
  if (!call.hasMetadata) return undefined;
  const value = call.metadata.get(key);
  return value === undefined || typeof value === "string" ? value : BYTES;
}

const BYTES = "\0";
