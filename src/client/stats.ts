import type { LoadReport } from "../core/load.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { SourceStatus } from "../cluster/resolver.ts";
import type { Counters } from "../connection/counters.ts";
import type { Breaker, BreakerState } from "../interceptor/breaker.ts";
import type { RetryBudgets } from "../interceptor/budget.ts";

/** What a client has done and knows. */
export interface ClientStats {
  /** What was counted since it was made. */
  readonly counters: Readonly<Counters>;
  /** How the circuit breakers stand, if there are any. */
  readonly breakers: readonly BreakerState[];
  /** The routing rules that it goes by. */
  readonly rules: {
    /** Which version of its center's rules it has; 0 when there never was one. */
    readonly version: number;
    /** How many of them there are for it. */
    readonly count: number;
    /** Whether any center can be heard. */
    readonly watching: boolean;
    /** How old they may be, in milliseconds: 0 while the center that they are from can be heard, `Infinity` when none could. */
    readonly staleMs: number;
  };
  /** The services that were called; where they are more than a hundred, those of late. */
  readonly services: readonly {
    readonly name: string;
    /** Whether any registry can be heard. */
    readonly watching: boolean;
    /** How old what is known may be, in milliseconds: 0 while `watching`, `Infinity` when no registry was ever heard. */
    readonly staleMs: number;
    /** How well each registry can be heard. */
    readonly sources: readonly SourceStatus[];
    /** How many tokens are left for retries and hedges; at half of the budget or fewer there are none. */
    readonly retryTokens: number;
    readonly instances: readonly {
      readonly id: string;
      readonly endpoint: string;
      /** What the channel to it is doing: `idle`, `connecting`, `ready`, `failing` or `closed`. */
      readonly state: string;
      /** How many connections with it are open. */
      readonly connections: number;
      /** How many calls it has running there, streams included. */
      readonly inFlight: number;
      /** How long its replies take, in milliseconds; 0 unless the balancer goes by it. */
      readonly latencyMs: number;
      /** Which share of its calls it failed of late, 0 to 1; 0 unless the balancer goes by it. */
      readonly errorShare: number;
      /** What it last said about its load, if that was a moment ago. */
      readonly load: LoadReport | undefined;
      /** Whether it is left out for a while because it has failed too many calls. */
      readonly ejected: boolean;
      /** How many times it was ejected since it is known. */
      readonly ejections: number;
      /** Whether its registry doubts that it lives. */
      readonly suspect: boolean;
      /** Whether it is a last resort: one registry has missed it, and only one that can't be heard has not. */
      readonly doubtful: boolean;
    }[];
  }[];
}

/** Gathers it. */
export function statsOf(
  cluster: Cluster,
  counters: Counters,
  budgets: RetryBudgets,
  breaker: Breaker | undefined,
): ClientStats {
  const { rules } = cluster;
  return {
    counters: { ...counters },
    breakers: breaker?.states() ?? [],
    rules: {
      version: rules?.version ?? 0,
      count: rules?.size ?? 0,
      watching: rules?.watching ?? false,
      staleMs: rules?.staleMs ?? Infinity,
    },
    services: cluster.views.map((view) => ({
      name: view.service,
      watching: view.resolver.watching,
      staleMs: view.resolver.staleMs,
      sources: view.resolver.sources,
      retryTokens: budgets.tokens(view.service),
      instances: view.members.map((member) => ({
        id: member.instance.id,
        endpoint: member.endpoint,
        state: member.channel.state,
        connections: member.channel.connectionCount,
        inFlight: member.inFlight,
        latencyMs: member.latencyMs,
        errorShare: member.errorShare,
        load: member.load && { ...member.load },
        ejected: member.ejectedAt !== undefined,
        ejections: member.ejections,
        suspect: member.suspect,
        doubtful: member.doubtful,
      })),
    })),
  };
}
