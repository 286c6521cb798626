import type { Call } from "../core/call.ts";
import { foundNobody, RpcError } from "../core/error.ts";
import type { Random } from "../core/platform.ts";
import { type CompiledRule, describeTarget, isTargeted } from "../routing/compiled_rule.ts";
import type { RuleTarget } from "../routing/rule.ts";
import type { Member } from "./member.ts";
import type { Selection } from "./selection.ts";

/** The members that a target of a rule leaves. */
interface Route {
  readonly target: RuleTarget;
  readonly selection: Selection;
}

/**
 * The routing rules of one service, applied. What it makes for one target it keeps: a call costs the rules that it is held
 * against, and one pick.
 */
export class Routes {
  readonly #rules: readonly CompiledRule[] | undefined;
  readonly #all: Selection;
  readonly #select: () => Selection;
  readonly #random: Random;
  /** By the rule's place and the target's; those that no call has met yet are missing. */
  readonly #routes: (Route | undefined)[][];

  /**
   * @param rules in the order in which they are tried; `undefined` while nobody knows them, and nobody may be picked
   * @param all what is picked from where no rule says otherwise
   * @param select makes an empty selection
   */
  constructor(
    rules: readonly CompiledRule[] | undefined,
    all: Selection,
    select: () => Selection,
    random: Random,
  ) {
    this.#rules = rules;
    this.#all = all;
    this.#select = select;
    this.#random = random;
    this.#routes = (rules ?? []).map(({ rule }) => new Array(rule.to.length).fill(undefined));
  }

  /** The service has other members. */
  membersChanged(): void {
    for (const { target, selection } of this.#made()) selection.members = this.#membersOf(target);
  }

  /** Something about its members has changed. */
  refresh(): void {
    for (const { selection } of this.#made()) selection.refresh();
  }

  /** Picks a member, or `undefined` when there is none yet. @throws {RpcError} when a rule leaves none */
  pick(call: Call): Member | undefined {
    if (this.#rules === undefined || this.#all.members.length === 0) return undefined;
    for (let at = 0; at < this.#rules.length; at++) {
      const compiled = this.#rules[at];
      if (!compiled.admits(call)) continue;
      const index = compiled.targetOf(call, this.#random);
      const { selection, target } = this.#routes[at][index] ??= this.#make(compiled.rule.to[index]);
      if (selection.members.length > 0) return selection.pick(call);
      if (compiled.rule.otherwise === "all") break;
      if (call.waitForReady) return undefined;
      throw this.#nobodyLeft(call, compiled.rule.name, target);
    }
    return this.#all.pick(call);
  }

  /** The members that such a call may go to, whatever its share. @throws {RpcError} when a rule leaves none */
  reach(call: Call): readonly Member[] {
    const { members } = this.#all;
    const compiled = this.#rules?.find((rule) => rule.admits(call));
    if (compiled === undefined || members.length === 0) return this.#rules === undefined ? [] : members;
    const { name, to, otherwise } = compiled.rule;
    const targets = to.filter(({ percent }) => percent !== 0);
    const reached = members.filter(({ instance }) => targets.some((target) => isTargeted(target, instance)));
    if (reached.length > 0) return reached;
    if (otherwise === "all") return members;
    if (call.waitForReady) return [];
    throw this.#nobodyLeft(call, name, targets[0]);
  }

  #make(target: RuleTarget): Route {
    const selection = this.#select();
    selection.members = this.#membersOf(target);
    return { target, selection };
  }

  #membersOf(target: RuleTarget): readonly Member[] {
    return this.#all.members.filter(({ instance }) => isTargeted(target, instance));
  }

  *#made(): Generator<Route> {
    for (const routes of this.#routes) {
      for (const route of routes) if (route !== undefined) yield route;
    }
  }

  #nobodyLeft({ service, procedure }: Call, rule: string, target: RuleTarget): RpcError {
    const resolved = this.#all.members.length;
    const known = resolved === 1 ? "the one instance is not" : `none of ${resolved} instances is`;
    const error = new RpcError(
      "unavailable",
      `Cannot call service "${service}": routing rule "${rule}" sends the call to ${
        describeTarget(target)
      }, which ${known}`,
      { executed: "no" },
    );
    error.explain = { procedure, resolved, rule, attempts: [], totalMs: 0 };
    return foundNobody(error);
  }
}
