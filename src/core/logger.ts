/** What the kit logs to. `console` and a logger of `@std/log` both fit. Nothing is logged without one. */
export interface Logger {
  /** Reports what helps to follow one call or connection. */
  debug(message: string, ...details: unknown[]): unknown;
  /** Reports the life of centers, servers and clients. */
  info(message: string, ...details: unknown[]): unknown;
  /** Reports what the kit deals with by itself, and somebody may want to know. */
  warn(message: string, ...details: unknown[]): unknown;
  /** Reports what somebody has to mend: above all the real cause when a handler failed. */
  error(message: string, ...details: unknown[]): unknown;
}

const LEVELS: readonly (keyof Logger)[] = ["debug", "info", "warn", "error"];

function nothing(): void {}

/** A logger that never throws: what the user's throws is counted, for there is nowhere else to report it. @throws {TypeError} */
export function containLogger(logger: Logger | undefined, onFailure: () => void): Logger {
  if (logger === undefined) return silent;
  const missing = LEVELS.filter((level) => typeof logger?.[level] !== "function");
  if (missing.length > 0) throw new TypeError(`Cannot use logger: it has no ${missing.join(", no ")}`);
  const contained = (level: keyof Logger) => (message: string, ...details: unknown[]): void => {
    try {
      logger[level](message, ...details);
    } catch {
      onFailure();
    }
  };
  return {
    debug: contained("debug"),
    info: contained("info"),
    warn: contained("warn"),
    error: contained("error"),
  };
}

/** Says nothing. */
export const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
