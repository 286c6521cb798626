/** What a call goes through between the client and its cluster, as the options of the client say. */
import { compose, type Interceptor, type Invoker } from "../core/call.ts";
import type { Settings } from "../connection/settings.ts";
import { type Breaker, breaker } from "../interceptor/breaker.ts";
import type { RetryBudgets } from "../interceptor/budget.ts";
import { contain } from "../interceptor/contain.ts";
import { hedge } from "../interceptor/hedge.ts";
import { Retrying } from "../interceptor/retry.ts";
import type { ClientOptions } from "./options.ts";

/** The way of a client's calls. */
export interface CallPath {
  readonly invoke: Invoker;
  /** The breakers that stand in it, if there are any. */
  readonly breaker: Breaker | undefined;
  /** What tries calls again, if anything does. */
  readonly retrying: Retrying | undefined;
  /** Whether nothing but that stands in it. */
  readonly isPlain: boolean;
}

/** What the path needs of its client. */
export interface CallPathHost {
  readonly settings: Settings;
  readonly budgets: RetryBudgets;
  /** Aborts when the client closes. */
  readonly signal: AbortSignal;
  /** Told what a user's function threw. */
  caught(what: string, thrown: unknown): void;
}

/** Builds it: what the user brings is outermost, then `fallbacks`, `breaker`, `hedge` and `retry`, then the cluster. */
export function callPath(
  options: ClientOptions,
  { settings, budgets, signal, caught }: CallPathHost,
  innermost: Invoker,
): CallPath {
  const { counters, platform, timers, logger } = settings;
  const shared = { platform, signal, budgets };
  const own: Interceptor[] = (options.fallbacks ?? []).map((fallback) =>
    fallback({
      onUsed: () => void counters.callsFallenBack++,
      onFailed: ({ procedure }, thrown) => caught(`The fallback of "${procedure}" failed`, thrown),
    })
  );
  let circuits: Breaker | undefined;
  if (options.breaker !== undefined) {
    circuits = breaker(options.breaker, {
      platform,
      onRefused: () => void counters.callsBroken++,
      onState: ({ name, state, reason }) => {
        if (state === "open") counters.breakersOpened++;
        logger.info(`The circuit breaker of "${name}" is ${state.replace("_", " ")}${reason && `: ${reason}`}`);
      },
    });
    own.push(circuits);
  }
  if (options.hedge !== undefined) {
    own.push(hedge(options.hedge, {
      ...shared,
      budgets: options.retry === false ? undefined : budgets,
      after: (ms, fire) => timers.after(ms, fire),
      onHedge: () => void counters.callsHedged++,
      onWin: () => void counters.hedgesWon++,
    }));
  }
  const isPlain = own.length === 0 && (options.interceptors ?? []).length === 0;
  const retrying = options.retry === false ? undefined : new Retrying(options.retry ?? {}, {
    ...shared,
    onRetry: () => void counters.callsRetried++,
    onThrottled: () => void counters.retriesThrottled++,
  });
  if (retrying !== undefined) own.push(retrying.interceptor);
  const invoke = compose(own, innermost);
  const { interceptors = [] } = options;
  const parts = { breaker: circuits, retrying, isPlain };
  if (interceptors.length === 0) return { ...parts, invoke };
  const contained = contain(compose(interceptors, invoke), ({ procedure }, thrown) => {
    caught(`An interceptor failed during "${procedure}"`, thrown);
  });
  return { ...parts, invoke: contained };
}
