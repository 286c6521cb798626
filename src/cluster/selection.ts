import { asRpcError, RpcError } from "../core/error.ts";
import type { Random } from "../core/platform.ts";
import type { Balancer, Candidate, Picker, PickRequest, Surroundings } from "../balancer/balancer.ts";
import { Member } from "./member.ts";

/**
 * Some members of a service, and the balancer's picker for them. The picker is made when it is first needed, and anew after
 * something about its members has changed.
 */
export class Selection {
  readonly #service: string;
  readonly #balancer: Balancer;
  readonly #random: Random;
  readonly #surroundings: Surroundings;
  #members: readonly Member[] = [];
  #picker: Picker | undefined;

  constructor(service: string, balancer: Balancer, random: Random, surroundings: Surroundings) {
    this.#service = service;
    this.#balancer = balancer;
    this.#random = random;
    this.#surroundings = surroundings;
  }

  /** The members that it picks from, in the order of their ids. */
  get members(): readonly Member[] {
    return this.#members;
  }

  set members(members: readonly Member[]) {
    this.#members = members;
    this.#picker = undefined;
  }

  /** Something about its members has changed: who fails to connect is left out while others do not, and so are last resorts. */
  refresh(): void {
    this.#picker = undefined;
  }

  /** Picks a member, or `undefined` when none will do. @throws {RpcError} when the balancer gives what it was not given */
  pick(request: PickRequest): Member | undefined {
    if (this.#members.length === 0) return undefined;
    let picked: Candidate | undefined;
    try {
      picked = (this.#picker ??= this.#build())(request);
    } catch (error) {
      throw asRpcError(error, "internal", `Balancer "${this.#balancer.name}" failed`, { executed: "no" });
    }
    if (picked === undefined || picked instanceof Member) return picked;
    throw new RpcError(
      "internal",
      `Balancer "${this.#balancer.name}" picked what was no candidate for "${this.#service}" out of ${this.#members.length} instances`,
      { executed: "no" },
    );
  }

  #build(): Picker {
    const well = this.#members.filter(({ doubtful, channel }) => !doubtful && channel.state !== "failing");
    return this.#balancer.build(well.length > 0 ? well : this.#members, this.#random, this.#surroundings);
  }
}
