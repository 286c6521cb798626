import { Call } from "../../src/core/call.ts";
import type { Metadata } from "../../src/core/metadata.ts";
import { checkRule, type Rule } from "../../src/routing/rule.ts";

/** A rule, with what a test wants otherwise. */
export function ruleOf(changes: Partial<Rule> = {}): Rule {
  return checkRule({ name: "r", service: "s.T", to: [{}], otherwise: "fail", ...changes });
}

/** A call that a rule can be held against. */
export function callOf(procedure: string, init: { metadata?: Metadata; hashKey?: string } = {}): Call {
  return new Call({ procedure, kind: "unary", ...init });
}
