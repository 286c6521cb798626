/** From what a user says of a call to the call itself. */
import { Call } from "../core/call.ts";
import { type CallTerms, termsOf } from "../core/call_terms.ts";
import { checkCodec } from "../core/codec.ts";
import { checkCriticality, type Criticality, jointCriticality } from "../core/criticality.ts";
import { newDedupeKey } from "../core/dedupe.ts";
import { Metadata } from "../core/metadata.ts";
import { checkDuration } from "../core/options.ts";
import type { Platform } from "../core/platform.ts";
import type { Method } from "../core/service.ts";
import type { Timers } from "../core/timers.ts";
import type { CallOptions } from "./options.ts";

/** What a method promises, as far as its caller goes by it. */
export type Promises = Pick<Method, "kind" | "idempotent" | "codec" | "timeoutMs" | "criticality" | "dedupe">;

/** A method as a client calls it. */
export interface Target {
  readonly promises: Promises;
  /** The terms of calls of it that say nothing else. */
  readonly terms: CallTerms;
}

/** What holds for all calls of a client that say nothing else. */
export interface CallDefaults {
  /** How long a call with one reply may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How much a call matters. */
  readonly criticality: Criticality;
}

/** Makes the calls of one client. */
export class CallMaker {
  readonly #platform: Platform;
  readonly #timers: Timers;
  readonly #defaults: CallDefaults;

  constructor(platform: Platform, timers: Timers, defaults: CallDefaults) {
    this.#platform = platform;
    this.#timers = timers;
    this.#defaults = defaults;
  }

  /** A method, to make calls of. */
  target(procedure: string, promises: Promises, service?: string): Target {
    const { kind, idempotent, codec } = promises;
    const criticality = this.#criticalityOf(promises, {});
    return { promises, terms: termsOf({ procedure, service, kind, idempotent, codec, criticality }) };
  }

  /** Makes a call. @throws {TypeError} {RangeError} when an option can't be used */
  make(
    { promises, terms }: Target,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
    cancel?: AbortSignal,
  ): Call {
    const { parent } = options;
    // What the program did since this turn began must not count against a time-out that it asked for itself.
    const exact = options.timeoutMs !== undefined || promises.timeoutMs !== undefined || parent !== undefined;
    const startedAt = exact ? this.#platform.clock.now() : this.#timers.turnNow();
    const metadata = options.metadata === undefined ? undefined : new Metadata(options.metadata);
    const deadline = startedAt + this.#timeLeft(options, promises);
    const signal = joined(cancel, options.signal, parent?.signal);
    return new Call(
      { message, messages, startedAt, deadline, signal, metadata, trace: parent?.trace },
      this.#termsOf(options, promises, terms, startedAt),
    );
  }

  /** The usual terms, or those of a call that asks for something else. */
  #termsOf(options: CallOptions, promises: Promises, usual: CallTerms, startedAt: number): CallTerms {
    const { parent, hashKey, waitForReady, retry, codec, criticality } = options;
    const { dedupe } = promises;
    if (
      parent === undefined && hashKey === undefined && waitForReady === undefined && retry === undefined &&
      codec === undefined && criticality === undefined && dedupe === undefined
    ) {
      return usual;
    }
    return termsOf({
      ...usual,
      codec: codec === undefined ? usual.codec : checkCodec(codec),
      hashKey,
      waitForReady,
      retry,
      attempt: parent?.attempt,
      hop: parent === undefined ? 0 : parent.hop + 1,
      criticality: this.#criticalityOf(promises, options),
      dedupe: dedupe === undefined ? undefined : newDedupeKey(this.#platform.random, startedAt + dedupe.windowMs),
    });
  }

  #criticalityOf(method: Promises, { criticality, parent }: CallOptions): Criticality {
    if (criticality !== undefined) return checkCriticality(criticality);
    const declared = method.criticality ?? "default";
    const joint = parent === undefined ? declared : jointCriticality(parent.criticality, declared);
    return joint === "default" ? this.#defaults.criticality : joint;
  }

  /** Calls with one reply end after the default time-out; streams may go on for ever. */
  #timeLeft(options: CallOptions, { kind, timeoutMs }: Promises): number {
    const streams = kind !== "unary" && kind !== "oneway";
    const given = options.timeoutMs ?? timeoutMs ?? (streams ? Infinity : this.#defaults.timeoutMs);
    const parentMs = options.parent === undefined ? Infinity : options.parent.remainingMs();
    return given === Infinity ? parentMs : Math.min(checkDuration("timeoutMs", given), parentMs);
  }
}

/** One signal for those that are there: most calls have none, or one. */
export function joined(
  first: AbortSignal | undefined,
  second: AbortSignal | undefined,
  third: AbortSignal | undefined,
): AbortSignal | undefined {
  if (second === undefined && third === undefined) return first;
  if (first === undefined && third === undefined) return second;
  return AbortSignal.any([first, second, third].filter((signal) => signal !== undefined));
}
