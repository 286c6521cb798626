import type { Call } from "../core/call.ts";
import type { Code } from "../core/code.ts";
import { asRpcError, RpcError } from "../core/error.ts";
import { checkInteger } from "../core/options.ts";
import type { Method, Methods } from "../core/service.ts";
import type { Instance } from "../registry/instance.ts";
import type { CallOptions } from "./options.ts";

/** How one request goes to many instances. */
export interface BroadcastOptions extends Omit<CallOptions, "onMetadata" | "onTrailers"> {
  /**
   * How many instances are asked: all that are known, or so many, 1 to 10 000, whom the balancer chooses. With `consistentHash`
   * and a `hashKey` these are always the same, as long as the instances are. Default `all`.
   */
  to?: "all" | number;
  /**
   * How many good answers are waited for: until everybody has answered or failed, or so many, 1 to 10 000. Whoever has not
   * answered by then is cancelled. Default `all`.
   */
  wait?: "all" | number;
}

/** What one instance said: its reply, or why there is none. */
export type Answer<Reply = unknown> =
  & {
    /** Who was asked. */
    readonly instance: Instance;
    /** Where. */
    readonly endpoint: string;
  }
  & ({ readonly reply: Reply; readonly error?: undefined } | { readonly error: RpcError; readonly reply?: undefined });

/** The names of a contract's methods that have one request and one reply. */
export type UnaryNames<M extends Methods> = {
  [Name in keyof M & string]: M[Name] extends Method<"unary"> ? Name : never;
}[keyof M & string];

/** Somebody who can be asked. */
interface Asked {
  readonly instance: Instance;
  readonly endpoint: string;
}

/** What a broadcast needs of the client. */
export interface BroadcastHost {
  /** The instances that a call may go to, at most so many. */
  reach(call: Call, count: number): Promise<readonly Asked[]>;
  /** Makes a call to one of them, and gives its reply. */
  ask(call: Call): Promise<unknown>;
  /** Cancels all of them. */
  cancel(): void;
}

const MAX = 10_000;
/** How many are asked at once: the others wait for their turn, so that a large service does not cost a dial storm. */
const MAX_AT_ONCE = 256;

/** How many are asked, and waited for. */
type Counts = Readonly<Required<Pick<BroadcastOptions, "to" | "wait">>>;

/** Checks how many are asked and waited for. @throws {RangeError} */
export function checkBroadcast({ to = "all", wait = "all" }: BroadcastOptions): Counts {
  if (to !== "all") checkInteger("to", to, 1, MAX);
  if (wait !== "all") checkInteger("wait", wait, 1, to === "all" ? MAX : to);
  return { to, wait };
}

/**
 * Asks many instances, and gathers what they say.
 *
 * @param call what each of them is asked
 * @param caller aborts when whoever asks has lost interest
 */
export async function broadcast(
  call: Call,
  { to, wait }: Counts,
  caller: AbortSignal | undefined,
  host: BroadcastHost,
): Promise<Answer[]> {
  const asked = await host.reach(call, to === "all" ? Infinity : to);
  const quorum = new Quorum(call, asked, wait === "all" ? undefined : wait);
  let next = 0;
  const ask = async () => {
    while (next < asked.length && !quorum.isOver) {
      const place = next++;
      const copy = call.with({ instance: asked[place].instance.id });
      copy.history = undefined; // each has its own
      try {
        quorum.reply(place, await host.ask(copy));
      } catch (error) {
        quorum.fail(place, asRpcError(error, "internal", `Cannot call "${call.procedure}"`));
      }
    }
  };
  for (let i = 0; i < Math.min(MAX_AT_ONCE, asked.length); i++) void ask();
  try {
    await quorum.over;
  } finally {
    host.cancel();
  }
  if (caller?.aborted) {
    throw new RpcError("cancelled", `The broadcast of "${call.procedure}" was cancelled`, {
      details: quorum.answers,
      cause: caller.reason,
    });
  }
  return quorum.result();
}

/** Counts what is said, and knows when that is enough. */
class Quorum {
  /** Resolves when nothing more is waited for. */
  readonly over: Promise<void>;
  isOver = false;
  readonly #call: Call;
  readonly #asked: readonly Asked[];
  readonly #wanted: number | undefined;
  readonly #answers: (Answer | undefined)[];
  readonly #end: () => void;
  #good = 0;
  #failed = 0;
  #lastError: RpcError | undefined;

  constructor(call: Call, asked: readonly Asked[], wanted: number | undefined) {
    this.#call = call;
    this.#asked = asked;
    this.#wanted = wanted;
    this.#answers = asked.map(() => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#end = resolve;
    this.#check();
  }

  reply(place: number, reply: unknown): void {
    if (this.isOver) return;
    const { instance, endpoint } = this.#asked[place];
    this.#answers[place] = { instance, endpoint, reply };
    this.#good++;
    this.#check();
  }

  fail(place: number, error: RpcError): void {
    if (this.isOver) return;
    const { instance, endpoint } = this.#asked[place];
    this.#answers[place] = { instance, endpoint, error };
    this.#failed++;
    this.#lastError = error;
    this.#check();
  }

  /** What everybody has said, in the order in which they were asked. */
  get answers(): Answer[] {
    return this.#asked.map(({ instance, endpoint }, place) =>
      this.#answers[place] ?? {
        instance,
        endpoint,
        error: new RpcError("cancelled", "Nobody waited for its answer any longer", { executed: "maybe" }),
      }
    );
  }

  /** What everybody has said. @throws {RpcError} when too few answers were good */
  result(): Answer[] {
    const { answers } = this;
    const wanted = this.#wanted;
    if (wanted === undefined || this.#good >= wanted) return answers;
    const { procedure } = this.#call;
    const known = this.#asked.length;
    const last = this.#lastError;
    const why = last === undefined
      ? `only ${known} can be asked`
      : `${this.#failed} of ${known} instances failed, the last with ${last.code}: ${last.message}`;
    this.#call.history = answers.flatMap(({ error }) => error?.explain?.attempts ?? []);
    throw new RpcError(
      this.#commonCode() ?? "unavailable",
      `Cannot get ${wanted} good answers to "${procedure}": ${why}`,
      {
        executed: last === undefined || this.#answers.every((answer) => answer?.error?.executed === "no")
          ? "no"
          : "maybe",
        details: answers,
        cause: last,
      },
    );
  }

  /** The code that all failures have, if they have the same. */
  #commonCode(): Code | undefined {
    const codes = new Set(this.#answers.flatMap((answer) => answer?.error?.code ?? []));
    return codes.size === 1 ? [...codes][0] : undefined;
  }

  #check(): void {
    const wanted = this.#wanted ?? Infinity;
    const open = this.#asked.length - this.#good - this.#failed;
    if (this.#good < wanted && open > 0 && (wanted === Infinity || this.#good + open >= wanted)) return;
    this.isOver = true;
    this.#end();
  }
}
