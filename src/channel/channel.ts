/**
 * One endpoint as an invoker. Dials when the first call comes, shares the connection among all calls, and dials again when
 * it is lost, with growing pauses while dialling fails.
 *
 * States: idle → connecting → ready → idle (lost, or going away) … and connecting → failing → idle once the pause is over.
 */
import { backoffMs, REDIAL } from "../core/backoff.ts";
import type { Call, Invoker, Reply } from "../core/call.ts";
import { asRpcError, RpcError } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import { waitFor } from "../core/wait.ts";
import { Connection } from "../connection/connection.ts";
import { greetAsClient } from "../connection/handshake.ts";
import type { Settings } from "../connection/settings.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import type { Transport } from "../transport/transport.ts";

/** What a channel is doing. */
export type ChannelState = "idle" | "connecting" | "ready" | "failing" | "closed";

/** One endpoint as an invoker. */
export class Channel {
  /** What is dialled. */
  readonly endpoint: string;
  /** Told whenever the state changes. */
  onState: (() => void) | undefined = undefined;
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #leaving = new Set<Connection>();
  #state: ChannelState = "idle";
  #connection: Connection | undefined;
  #dialling: Promise<Connection> | undefined;
  #abort: AbortController | undefined;
  #failures = 0;
  #failure: RpcError | undefined;
  #pause: Disposable | undefined;
  #wanted: (() => void)[] = [];

  /** Makes a channel that has dialled nothing yet. */
  constructor(endpoint: string, settings: Settings, transport: Transport) {
    this.endpoint = endpoint;
    this.#settings = settings;
    this.#transport = transport;
  }

  /** What it is doing. */
  get state(): ChannelState {
    return this.#state;
  }

  /** How many calls it has running. */
  get inFlight(): number {
    return this.#connection === undefined ? 0 : this.#connection.inFlight;
  }

  /** What the server last said about its load; `undefined` when it did not within `maxAgeMs` before `now`. */
  freshLoad(now: number, maxAgeMs: number): LoadReport | undefined {
    const connection = this.#connection;
    return connection === undefined || now - connection.loadAt > maxAgeMs ? undefined : connection.load;
  }

  /** The connection that new calls take, if there is one. */
  get connection(): Connection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  /** Carries a call. */
  readonly invoke: Invoker = (call: Call): Promise<Reply> => {
    const connection = this.#connection;
    if (connection !== undefined && connection.isOpen) {
      call.endpoint = this.endpoint;
      return connection.invoke(call);
    }
    return this.#invokeLater(call);
  };

  /** Dials unless it is connected. @throws {RpcError} `unavailable` */
  connect(): Promise<Connection> {
    if (this.#connection?.isOpen) return Promise.resolve(this.#connection);
    if (this.#state === "closed") return Promise.reject(this.#closedError());
    return this.#dialling ??= this.#dial();
  }

  /** Ends once the calls that are running have ended; takes no new ones. */
  retire(): void {
    if (this.#state === "closed") return;
    this.#shut();
    this.#connection?.goAway("the client needs it no longer");
  }

  /** Ends now. */
  async close(): Promise<void> {
    this.#shut();
    const connections = [...this.#leaving];
    if (this.#connection !== undefined) connections.push(this.#connection);
    await Promise.all(connections.map((connection) => connection.close("the client was closed")));
    await this.#dialling?.catch(() => {});
  }

  async #invokeLater(call: Call): Promise<Reply> {
    call.endpoint = this.endpoint;
    for (;;) {
      if (this.#state === "failing") {
        if (!call.waitForReady) throw this.#unavailable();
        const wanted = new Promise<void>((resolve) => this.#wanted.push(resolve));
        await waitFor(wanted, call, this.#settings.timers, `waiting to dial ${this.endpoint} again`);
      }
      try {
        const connection = await waitFor(this.connect(), call, this.#settings.timers, `connecting to ${this.endpoint}`);
        return await connection.invoke(call);
      } catch (error) {
        if (!call.waitForReady || !(error instanceof RpcError) || error !== this.#failure) throw error;
      }
    }
  }

  async #dial(): Promise<Connection> {
    const { limits, timers, platform, logger } = this.#settings;
    this.#become("connecting");
    const abort = this.#abort = new AbortController();
    const timer = timers.after(limits.connectMs, () => {
      abort.abort(new Error(`it took over ${limits.connectMs} ms (limits.connectMs)`));
    });
    try {
      const socket = await this.#reach(abort.signal);
      const greeted = await greetAsClient(socket, this.#settings);
      const connection = new Connection(greeted, this.#settings);
      if (abort.signal.aborted) {
        void connection.close();
        throw abort.signal.reason;
      }
      this.#use(connection);
      return connection;
    } catch (error) {
      const failure = asRpcError(error, "unavailable", `Cannot connect to ${this.endpoint}`, { executed: "no" });
      if (this.#state === "closed") throw failure;
      const pauseMs = backoffMs(REDIAL, this.#failures++, platform.random);
      this.#failure = failure;
      this.#pause = timers.after(pauseMs, () => {
        this.#pause = undefined;
        this.#become("idle");
        const wanted = this.#wanted;
        this.#wanted = [];
        for (const wake of wanted) wake();
      });
      logger.debug(`${failure.message}; next attempt in ${Math.round(pauseMs)} ms at the earliest`);
      this.#become("failing");
      throw failure;
    } finally {
      timer[Symbol.dispose]();
      this.#abort = undefined;
      this.#dialling = undefined;
    }
  }

  /** Dials, and gives up when the signal aborts even where dialling itself can't be aborted. */
  #reach(signal: AbortSignal): Promise<ByteConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<ByteConnection>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    this.#transport.connect(this.endpoint, { signal }).then((socket) => {
      signal.addEventListener("abort", () => socket.close(), { once: true });
      if (signal.aborted) socket.close();
      resolve(socket);
    }, reject);
    return promise;
  }

  #use(connection: Connection): void {
    this.#failures = 0;
    this.#failure = undefined;
    this.#connection = connection;
    this.#settings.logger.debug(`Connected to ${this.endpoint}`);
    const left = () => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#become("idle");
    };
    connection.onGoAway = () => {
      this.#leaving.add(connection);
      left();
    };
    void connection.closed.then(() => {
      this.#leaving.delete(connection);
      left();
    });
    this.#become("ready");
  }

  #become(state: ChannelState): void {
    if (this.#state === "closed" || this.#state === state) return;
    this.#state = state;
    this.onState?.();
  }

  #shut(): void {
    this.#become("closed");
    this.#pause?.[Symbol.dispose]();
    this.#abort?.abort(this.#closedError());
    const wanted = this.#wanted;
    this.#wanted = [];
    for (const wake of wanted) wake();
  }

  #unavailable(): RpcError {
    const { message, code, cause } = this.#failure!;
    return new RpcError(code, message, { executed: "no", cause });
  }

  #closedError(): RpcError {
    return new RpcError("unavailable", `Cannot use the channel to ${this.endpoint}: it was closed`, { executed: "no" });
  }
}
