import { MAX_GROWTH } from "../../src/connection/stream.ts";
import type { Limits } from "../../src/core/limits.ts";
import type { Config } from "./config.ts";
import type { Happening } from "./history.ts";

/** The first record of a history: what checkers must know of the run, simulated or real. */
export function beginOf(config: Config, slackMs: number): Happening {
  const { server, client } = config.limits;
  return {
    what: "begin",
    slackMs,
    ...(config.faults.length === 0 ? { calmMs: 20 * config.link.latencyMs! } : {}),
    corrupts: config.faults.includes("flips"),
    sheds: sheds(config),
    ...(config.admission !== false && typeof config.admission.limit === "number"
      ? { limit: config.admission.limit }
      : {}),
    servers: config.servers,
    ...(isDrainsOnly(config) ? { drainsOnly: true } : {}),
    maxStreams: server.maxStreams!,
    windowBytes: { server: widest(server), client: widest(client) },
    ...(config.retry === false ? {} : {
      retries: {
        atFirst: (config.retry.budgetTokens ?? 10) / 2,
        perCall: config.retry.tokensPerSuccess ?? 0.1,
      },
    }),
    ...(config.breaker === undefined ? {} : {
      breaker: { probes: config.breaker.probes, openMs: config.breaker.openMs },
    }),
  };
}

/** `limits.streamWindowBytes`, or what a fast reader makes of it; never more than the connection's. */
function widest({ streamWindowBytes, connectionWindowBytes }: Partial<Limits>): number {
  return Math.max(streamWindowBytes!, Math.min(MAX_GROWTH * streamWindowBytes!, connectionWindowBytes!));
}

function sheds({ admission }: Config): boolean {
  return admission !== false && admission.limit !== undefined;
}

/** Whether nothing happens but that servers drain. Breakers fail calls, and servers with few places refuse them, at any time. */
function isDrainsOnly(config: Config): boolean {
  const { faults, breaker, limits } = config;
  const roomy = (limits.server.maxStreams ?? 256) >= 256 && !sheds(config);
  return faults.length === 1 && faults[0] === "drain" && breaker === undefined && roomy;
}
