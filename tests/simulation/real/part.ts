/** What one process of a real run is told, and what it says. */
import { type Config, configOf } from "../config.ts";

/** What one process is told, as JSON. */
export interface Part {
  readonly name: string;
  readonly kind: "server" | "client" | "center";
  /** Which life of its node it is. */
  readonly life: number;
  /** The run's seed. */
  readonly seed: number;
  /** Which of the clients it is. */
  readonly index: number;
  /** When the run began, in milliseconds since 1970. */
  readonly beganAt: number;
  /** The port that it listens on. */
  readonly port: number;
  /** Where others are for it, by their names: a proxy each. */
  readonly others: Readonly<Record<string, number>>;
  /** The file that its records go to. */
  readonly file: string;
}

/** What a client says when all its calls have ended, and when its last ones have. */
export const IDLE = "idle";
export const DONE = "done";
/** What every process says when it is ready. */
export const READY = "ready";
/** The signal that tells a process to go on with what is next. */
export const GO = "SIGUSR1";

/** What a seed stands for in a real run: fewer nodes, and waits that people have the time for. */
export function realConfigOf(seed: number): Config {
  const config = configOf(seed, { servers: 3, clients: 3, ops: 40, safetyMs: 6_000 });
  const quick = {
    keepaliveMs: 1_000,
    idleKeepaliveMs: 1_000,
    pingTimeoutMs: 1_000,
    connectMs: 1_000,
    handshakeMs: 1_000,
  };
  const limits = { ...quick, writeStallMs: 2_000, streamStallMs: 3_000, frameStallMs: 2_000, idleMs: 1_800_000 };
  return {
    ...config,
    centers: Math.min(config.centers, 1),
    // Faults of simulations have no place here; what is done here is the same in each run, at other times.
    faults: ["partition"],
    limits: { server: { ...config.limits.server, ...limits }, client: { ...config.limits.client, ...limits } },
    messageBytes: Math.min(config.messageBytes, 20_000),
    longestMs: 3_000,
    // One that is open when trouble ends would have to be waited for.
    breaker: undefined,
  };
}
