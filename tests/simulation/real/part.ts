/** What one process of a real run is told, and what it says. */
import type { Config } from "../config.ts";

/** What one process is told, as JSON. */
export interface Part {
  readonly name: string;
  readonly kind: "server" | "client" | "center";
  /** Which life of its node it is. */
  readonly life: number;
  readonly config: Config;
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
