import { Metadata } from "../core/metadata.ts";
import { CompiledRule, describeTarget, isTargeted, type RoutedCall, type RoutedInstance } from "./compiled_rule.ts";
import type { Rule } from "./rule.ts";

/** A call that is not made. */
export interface RouteQuestion {
  /** The full name of what would be called, such as `demo.Words/count`. */
  readonly procedure: string;
  /** What would go with the request. Default: nothing. */
  readonly metadata?: Metadata;
  /** The call's `hashKey`. Default: none. */
  readonly hashKey?: string;
  /** Where the client stands. Default: an empty text. */
  readonly zone?: string;
}

/** What one rule says of a call. */
export interface RuleFinding {
  /** The rule. */
  readonly rule: Rule;
  /** Whether the call meets its conditions. Only the first that it meets decides. */
  readonly matches: boolean;
  /** Why it does not, or an empty text. */
  readonly why: string;
}

/** What one target of the rule that decides gets. */
export interface TargetFinding {
  /** Which instances it takes, in words. */
  readonly target: string;
  /** How many of a hundred such calls would go there: 0 or 100 when the call has a key, which decides. */
  readonly percent: number;
  /** The ids of the instances that it takes. */
  readonly instances: readonly string[];
  /** What becomes of calls that are sent there. */
  readonly outcome: "sent" | "sent anywhere" | "failed";
}

/** What rules would do with a call. */
export interface RouteFinding {
  /** The rules in the order in which they are tried, up to the one that decides. */
  readonly rules: readonly RuleFinding[];
  /** The name of the rule that decides, or `undefined` when none does and the call may go anywhere. */
  readonly decides: string | undefined;
  /** The text that says which share the call belongs to, or `undefined` when there is no such text. */
  readonly key: string | undefined;
  /** Where it may go. Without a rule that decides: everywhere. */
  readonly targets: readonly TargetFinding[];
}

/**
 * A dry run: says which rule would decide over a call, which instances it would leave, and what would become of the call.
 *
 * @param rules those of the service, in the order in which they are tried
 * @param instances those of the service
 */
export function explainRoute(
  rules: readonly Rule[],
  question: RouteQuestion,
  instances: readonly RoutedInstance[],
): RouteFinding {
  const { procedure, metadata = new Metadata(), hashKey, zone = "" } = question;
  const call: RoutedCall = { procedure, hashKey, metadata, hasMetadata: metadata.size > 0 };
  const findings: RuleFinding[] = [];
  for (const rule of rules) {
    const compiled = new CompiledRule(rule);
    const why = compiled.whyNot(call, zone);
    findings.push({ rule, matches: why === undefined, why: why ?? "" });
    if (why === undefined) {
      return {
        rules: findings,
        decides: rule.name,
        key: compiled.keyOf(call),
        targets: targetsOf(compiled, call, instances),
      };
    }
  }
  const ids = instances.map(({ id }) => id);
  const outcome = ids.length > 0 ? "sent" : "failed";
  return {
    rules: findings,
    decides: undefined,
    key: undefined,
    targets: [{ target: "any instance", percent: 100, instances: ids, outcome }],
  };
}

function targetsOf(compiled: CompiledRule, call: RoutedCall, instances: readonly RoutedInstance[]): TargetFinding[] {
  const { to, otherwise } = compiled.rule;
  const isDecided = compiled.keyOf(call) !== undefined;
  const decided = isDecided ? compiled.targetOf(call, NO_CHANCE) : -1;
  return to.map((target, index) => {
    const ids = instances.filter((instance) => isTargeted(target, instance)).map(({ id }) => id);
    const instead = otherwise === "all" && instances.length > 0 ? "sent anywhere" : "failed";
    return {
      target: describeTarget(target),
      percent: isDecided ? (index === decided ? 100 : 0) : target.percent ?? 100,
      instances: ids,
      outcome: ids.length > 0 ? "sent" : instead,
    };
  });
}

/** Where a key decides, chance is not asked. */
const NO_CHANCE = { u32: () => 0 };
