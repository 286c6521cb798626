/** From what a user says of a call to the call itself. */
import { Call, type CallInit } from "../core/call.ts";
import { checkCodec } from "../core/codec.ts";
import { checkCriticality, type Criticality, jointCriticality } from "../core/criticality.ts";
import { newDedupeKey } from "../core/dedupe.ts";
import { Metadata } from "../core/metadata.ts";
import { checkDuration } from "../core/options.ts";
import type { Platform } from "../core/platform.ts";
import type { Method, MethodKind } from "../core/service.ts";
import type { Timers } from "../core/timers.ts";
import type { CallOptions } from "./options.ts";

/** What a method promises, as far as its caller goes by it. */
export interface Promises extends Pick<Method, "idempotent" | "codec" | "timeoutMs" | "criticality" | "dedupe"> {
  /** The service's name, so that no call cuts it out of its procedure's. */
  readonly service?: string;
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
  /** One for all calls, which copy what is in it: making one for each costs three times what making the call does. */
  readonly #init: { -readonly [Key in keyof CallInit]: CallInit[Key] } = emptyInit();

  constructor(platform: Platform, timers: Timers, defaults: CallDefaults) {
    this.#platform = platform;
    this.#timers = timers;
    this.#defaults = defaults;
  }

  /** Makes a call. @throws {TypeError} {RangeError} when an option can't be used */
  make(
    procedure: string,
    kind: MethodKind,
    method: Promises,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
    cancel?: AbortSignal,
  ): Call {
    const { parent, hashKey, waitForReady, retry } = options;
    // What the program did since this turn began must not count against a time-out that it asked for itself.
    const exact = options.timeoutMs !== undefined || method.timeoutMs !== undefined || parent !== undefined;
    const startedAt = exact ? this.#platform.clock.now() : this.#timers.turnNow();
    const metadata = options.metadata === undefined ? undefined : new Metadata(options.metadata);
    const deadline = startedAt + this.#timeLeft(kind, options, method.timeoutMs);
    const signal = joined(cancel, options.signal, parent?.signal);
    const codec = options.codec === undefined ? method.codec : checkCodec(options.codec);
    const criticality = this.#criticalityOf(method, options);
    const { dedupe } = method;
    // Nothing of the user's runs from here on, so that nobody else can write into it meanwhile.
    const init = this.#init;
    init.procedure = procedure;
    init.service = method.service;
    init.kind = kind;
    init.idempotent = method.idempotent;
    init.message = message;
    init.messages = messages;
    init.metadata = metadata;
    init.startedAt = startedAt;
    init.deadline = deadline;
    init.signal = signal;
    init.codec = codec;
    init.hashKey = hashKey;
    init.waitForReady = waitForReady;
    init.retry = retry;
    init.attempt = parent?.attempt;
    init.hop = parent === undefined ? 0 : parent.hop + 1;
    init.criticality = criticality;
    init.dedupe = dedupe === undefined ? undefined : newDedupeKey(this.#platform.random, startedAt + dedupe.windowMs);
    init.trace = parent?.trace;
    const call = new Call(init);
    // What a user handed in is not kept longer than the call.
    init.message =
      init.messages =
      init.metadata =
      init.signal =
      init.trace =
        undefined;
    return call;
  }

  #criticalityOf(method: Promises, { criticality, parent }: CallOptions): Criticality {
    if (criticality !== undefined) return checkCriticality(criticality);
    const declared = method.criticality ?? "default";
    const joint = parent === undefined ? declared : jointCriticality(parent.criticality, declared);
    return joint === "default" ? this.#defaults.criticality : joint;
  }

  /** Calls with one reply end after the default time-out; streams may go on for ever. */
  #timeLeft(kind: MethodKind, options: CallOptions, methodTimeoutMs: number | undefined): number {
    const streams = kind !== "unary" && kind !== "oneway";
    const given = options.timeoutMs ?? methodTimeoutMs ?? (streams ? Infinity : this.#defaults.timeoutMs);
    const parentMs = options.parent === undefined ? Infinity : options.parent.remainingMs();
    return given === Infinity ? parentMs : Math.min(checkDuration("timeoutMs", given), parentMs);
  }
}

/** Every field is there from the beginning, so that the object never changes its shape. */
function emptyInit(): CallInit {
  return {
    procedure: "",
    service: undefined,
    kind: "unary",
    idempotent: false,
    message: undefined,
    messages: undefined,
    metadata: undefined,
    startedAt: 0.5, // not whole, as times are
    deadline: 0.5,
    signal: undefined,
    codec: undefined,
    hashKey: undefined,
    waitForReady: undefined,
    retry: undefined,
    instance: undefined,
    attempt: undefined,
    hop: 0,
    criticality: undefined,
    dedupe: undefined,
    trace: undefined,
    context: undefined,
  };
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
