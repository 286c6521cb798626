/**
 * etcd's JSON gateway over `fetch`: several endpoints of one cluster, of which the first that answers is stayed with; bounded
 * answers; a user's token, taken anew when it has run out.
 */
import { codeName } from "../core/code.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { Platform } from "../core/platform.ts";
import { lines, readAll } from "./body.ts";

/** What is used of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** How the gateway is reached. */
export interface GatewayOptions {
  /** URLs of members of one cluster, checked. */
  readonly endpoints: readonly string[];
  /** Whoever logs in, if anybody does. */
  readonly user: { readonly name: string; readonly password: string } | undefined;
  /** How long one answer may take. */
  readonly timeoutMs: number;
  readonly fetch: Fetch;
  readonly platform: Platform;
}

/** etcd answered, and did not do it. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  /** gRPC's number of the outcome. */
  readonly number: number;

  /** Makes an error from what etcd answered. */
  constructor(number: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.number = number;
  }
}

/** The outcome of what is not there (any more): a lease, for example. */
export const NOT_FOUND = 5;
/** The outcome of what is there already. */
export const FAILED_PRECONDITION = 9;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Outcomes that the user has to mend: they are passed on as they are. */
const FOR_THE_USER: ReadonlySet<number> = new Set([7, 8, UNAUTHENTICATED]);

const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** With `fragment`, etcd keeps what it says at once below its own limit of a request, which is 1.5 MiB unless raised. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const MAX_AT_ONCE = 64;

/** What etcd answered: any JSON object. It is checked where it is used. */
// deno-lint-ignore no-explicit-any
export type Answer = any;

/** etcd's JSON gateway. */
export class Gateway {
  readonly #options: GatewayOptions;
  #current = 0;
  #token: string | undefined;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** Makes a gateway that asks nobody yet. */
  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** The endpoint that is asked next. */
  get endpoint(): string {
    return this.#options.endpoints[this.#current];
  }

  /**
   * Asks for something, of the other endpoints too where one does not answer: so it must be harmless to do twice.
   * @throws {EtcdError} when etcd refused @throws {RpcError} when the user has to mend something @throws when nobody answered
   */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<Answer> {
    const text = JSON.stringify(body);
    await this.#enter(signal);
    try {
      return await this.#everywhere(async (endpoint, timeoutMs) => {
        const late = new AbortController();
        using _timer = this.#options.platform.clock.timer(
          timeoutMs,
          () => late.abort(new Error(`${endpoint} did not answer in ${Math.round(timeoutMs)} ms`)),
        );
        const response = await this.#send(endpoint, path, text, AbortSignal.any([signal, late.signal]));
        // A stream of answers puts each into "result"; that of a lease's renewal has one.
        const answer = JSON.parse(await readAll(response, MAX_ANSWER_BYTES));
        return answer.result ?? answer;
      }, signal);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** Begins something whose answers never end. What it throws means that another endpoint is asked next time. */
  async *stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<Answer> {
    const endpoint = this.endpoint;
    try {
      const response = await this.#send(endpoint, path, JSON.stringify(body), signal);
      for await (const line of lines(response, MAX_LINE_BYTES)) {
        const { result, error } = JSON.parse(line);
        if (error !== undefined) throw new EtcdError(error.grpc_code ?? error.code, `${endpoint}: ${error.message}`);
        yield result;
      }
      throw new Error(`${endpoint} ended what it had to tell`);
    } catch (error) {
      if (!signal.aborted) this.#leave(endpoint);
      throw error;
    }
  }

  /** The present endpoint is of no use: the next one is asked from now on. */
  leave(): void {
    this.#leave(this.endpoint);
  }

  /** Goes round the endpoints until one answers. Each has half of the time that is left, the last one all of it. */
  async #everywhere<T>(
    ask: (endpoint: string, timeoutMs: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { endpoints, timeoutMs, platform: { clock } } = this.#options;
    const deadline = clock.now() + timeoutMs;
    for (let left = endpoints.length;; left--) {
      const endpoint = this.endpoint;
      const leftMs = deadline - clock.now();
      try {
        return await ask(endpoint, left > 1 ? leftMs / 2 : leftMs);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const silent = !(error instanceof EtcdError || error instanceof RpcError);
        const helpless = error instanceof EtcdError &&
          (error.number === UNAVAILABLE || error.number === DEADLINE_EXCEEDED);
        if (!silent && !helpless) throw error;
        this.#leave(endpoint);
        if (left <= 1 || clock.now() >= deadline) throw error;
      }
    }
  }

  #leave(endpoint: string): void {
    if (endpoint === this.endpoint) this.#current = (this.#current + 1) % this.#options.endpoints.length;
  }

  /** One request, with the user's token where there is a user; with a new one if the old one has run out. */
  async #send(endpoint: string, path: string, body: string, signal: AbortSignal): Promise<Response> {
    const { user } = this.#options;
    if (user === undefined) return await this.#fetch(endpoint, path, body, signal, undefined);
    const token = await this.#tokenFor(user, endpoint, signal);
    try {
      return await this.#fetch(endpoint, path, body, signal, token);
    } catch (error) {
      if (!isStale(error)) throw error;
      if (this.#token === token) this.#token = undefined;
      return await this.#fetch(endpoint, path, body, signal, await this.#tokenFor(user, endpoint, signal));
    }
  }

  /** The token of a user who has logged in, also at another endpoint. */
  async #tokenFor(
    user: { name: string; password: string },
    endpoint: string,
    signal: AbortSignal,
  ): Promise<string> {
    if (this.#token !== undefined) return this.#token;
    const path = "/v3/auth/authenticate";
    try {
      const response = await this.#fetch(endpoint, path, JSON.stringify(user), signal, undefined);
      const { token } = JSON.parse(await readAll(response, MAX_ANSWER_BYTES));
      if (typeof token !== "string") throw new Error(`${endpoint} gave no token to user "${user.name}"`);
      return this.#token = token;
    } catch (error) {
      if (!(error instanceof EtcdError && error.number === INVALID_ARGUMENT)) throw error;
      throw new RpcError("unauthenticated", `Cannot log in as "${user.name}" at etcd: ${error.message}`, {
        executed: "no",
        cause: error,
      });
    }
  }

  async #fetch(
    endpoint: string,
    path: string,
    body: string,
    signal: AbortSignal,
    token: string | undefined,
  ): Promise<Response> {
    const headers: Record<string, string> = {
      "content-type": "application/json",
      // So that a member that has lost the others says so, rather than never telling anything again.
      "grpc-metadata-hasleader": "true",
    };
    if (token !== undefined) headers.authorization = token;
    const { fetch } = this.#options;
    const response = await fetch(endpoint + path, { method: "POST", headers, body, signal });
    if (response.ok) return response;
    const said = await readAll(response, MAX_ANSWER_BYTES);
    const { number, message } = refusal(said, response.status);
    if (!FOR_THE_USER.has(number)) throw new EtcdError(number, `${endpoint}: ${message}`);
    throw new RpcError(codeName(number), `etcd at ${endpoint} refused ${path}: ${message}`, { executed: "no" });
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#running >= MAX_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    if (!signal.aborted) return;
    this.#running--;
    this.#waiting.shift()?.();
    throw signal.reason;
  }
}

/** What etcd says of a token that is too old, unknown to a member that was restarted, or from before users changed. */
function isStale(error: unknown): boolean {
  return error instanceof EtcdError && error.number === INVALID_ARGUMENT ||
    error instanceof RpcError && error.code === "unauthenticated";
}

/** What etcd says with anything but 200; what is no JSON comes from whoever stands before it. */
function refusal(said: string, status: number): { number: number; message: string } {
  try {
    const { code, error, message } = JSON.parse(said);
    if (Number.isInteger(code)) return { number: code, message: message ?? error };
  } catch (error) {
    return { number: UNAVAILABLE, message: `HTTP ${status} ${said.slice(0, 200)} (${textOf(error)})` };
  }
  return { number: status === 401 ? UNAUTHENTICATED : UNAVAILABLE, message: `HTTP ${status} ${said.slice(0, 200)}` };
}
