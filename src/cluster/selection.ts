import { asRpcError, RpcError } from "../core/error.ts";
import type { Platform } from "../core/platform.ts";
import type { Balancer, Candidate, Picker, PickRequest, Surroundings } from "../balancer/balancer.ts";
import type { EjectionOptions } from "./ejector.ts";
import { Member } from "./member.ts";

/** What a selection needs of the cluster. */
export interface SelectionHost {
  readonly platform: Platform;
  readonly balancer: Balancer;
  readonly ejection: Readonly<Required<EjectionOptions>> | undefined;
  /** Whether instances are dialled before they are called, and not called before they are connected. */
  readonly warmUp: boolean;
}

/**
 * Some members of a service, and the balancer's picker for them. The picker is made when it is first needed, and anew after
 * something about its members has changed.
 */
export class Selection {
  readonly #service: string;
  readonly #host: SelectionHost;
  readonly #balancer: Balancer;
  readonly #surroundings: Surroundings;
  #members: readonly Member[] = [];
  #picker: Picker | undefined;

  constructor(service: string, host: SelectionHost, surroundings: Surroundings) {
    this.#service = service;
    this.#host = host;
    this.#balancer = host.balancer;
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

  /** Something about its members has changed: who fails to connect, who is ejected, and last resorts are left out while others are left. */
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
    return this.#balancer.build(this.#usable(), this.#host.platform.random, this.#surroundings);
  }

  #usable(): readonly Member[] {
    const members = this.#members;
    const reached = members.filter(({ doubtful, channel }) => !doubtful && channel.state !== "failing");
    if (reached.length === 0) return members;
    // Where too many are bad, it is not they: then those who are left must not bear it all.
    const well = reached.filter(({ ejectedAt }) => ejectedAt === undefined);
    const { ejection, warmUp } = this.#host;
    const panic = well.length === 0 || (ejection !== undefined && well.length < ejection.panicBelow * members.length);
    const left = panic ? reached : well;
    if (!warmUp) return left;
    const warm = left.filter(({ channel }) => channel.state !== "connecting");
    return warm.length > 0 ? warm : left;
  }
}
