/**
 * One instance as an invoker. Dials when the first call comes, shares the connection among all calls, and dials again when
 * it is lost, with growing pauses while dialling fails.
 *
 * States: idle → connecting → ready → idle (lost, or going away) … and connecting → failing → idle once the pause is over. Where
 * the pace says so it dials again while it is failing, failing → ready; or rests after a loss, ready → failing.
 */
import type { Call, Invoker } from "../core/call.ts";
import { asRpcError, RpcError } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import type { CallObserver } from "../core/observer.ts";
import { invoking, type Receiver } from "../core/receiver.ts";
import { waitFor } from "../core/wait.ts";
import { Connection } from "../connection/connection.ts";
import type { Settings } from "../connection/settings.ts";
import type { Transport } from "../transport/transport.ts";
import { Connections } from "./connections.ts";
import { dial } from "./dial.ts";
import { eager, type Pace } from "./pace.ts";

/** What a channel is doing. */
export type ChannelState = "idle" | "connecting" | "ready" | "failing" | "closed";

/** One instance as an invoker. */
export class Channel {
  /** What is dialled, best first. */
  readonly endpoints: readonly string[];
  /** The best of them, by which the instance goes wherever one text has to do. */
  readonly endpoint: string;
  /** Told whenever the state changes. */
  onState: (() => void) | undefined = undefined;
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #pace: Pace;
  readonly #connections: Connections;
  readonly #aborts = new Set<AbortController>();
  #state: ChannelState = "idle";
  #dialling: Promise<Connection> | undefined;
  #failures = 0;
  #failure: RpcError | undefined;
  #pause: Disposable | undefined;
  #pauseEndsAt = -Infinity;
  #wanted: (() => void)[] = [];

  /** Makes a channel that has dialled nothing yet. */
  constructor(endpoints: readonly string[], settings: Settings, transport: Transport, pace?: Pace) {
    this.endpoints = endpoints;
    this.endpoint = endpoints[0];
    this.#settings = settings;
    this.#transport = transport;
    this.#pace = pace ?? eager(settings.platform.random);
    this.#connections = new Connections({
      endpoint: this.endpoint,
      settings,
      pace: this.#pace,
      open: () => this.#open(),
      onLast: (connection) => this.#lost(connection),
    });
  }

  /** What it is doing. */
  get state(): ChannelState {
    return this.#state;
  }

  /** How long it is not going to dial, in milliseconds. */
  get pauseMs(): number {
    return this.#state === "failing" ? Math.max(0, this.#pauseEndsAt - this.#settings.platform.clock.now()) : 0;
  }

  /** How many connections it has open. */
  get connectionCount(): number {
    return this.#connections.all.length;
  }

  /** What the server last said about its load; `undefined` when it did not within `maxAgeMs` before `now`. */
  freshLoad(now: number, maxAgeMs: number): LoadReport | undefined {
    return this.#connections.freshLoad(now, maxAgeMs);
  }

  /** Carries a call, and tells an observer how it ended. */
  carry(call: Call, receiver: Receiver, observer?: CallObserver): void {
    const { first } = this.#connections;
    call.endpoint = this.endpoint;
    if (first === undefined || !first.isOpen) void this.#carryLater(call, receiver, observer);
    else this.#connections.withRoom(first).carry(call, receiver, observer);
  }

  /** The same as an invoker. */
  readonly invoke: Invoker = invoking((call, receiver) => this.carry(call, receiver));

  /** Dials unless it is connected. @throws {RpcError} `unavailable` */
  connect(): Promise<Connection> {
    for (const connection of this.#connections.all) if (connection.isOpen) return Promise.resolve(connection);
    if (this.#state === "closed") return Promise.reject(this.#closedError());
    return this.#dialling ??= this.#dial();
  }

  /** There is reason to believe that it can be reached again: if it rests it dials now. */
  hurry(): void {
    if (this.#pause === undefined) return;
    this.#pause[Symbol.dispose]();
    this.#pause = undefined;
    this.connect().catch(() => {}); // the state says it
  }

  /** Takes no new calls, and ends once those that are running have. Resolves when it has, and never rejects. */
  async retire(): Promise<void> {
    this.#shut();
    const connections = this.#connections.all;
    for (const connection of connections) connection.goAway("the client needs it no longer");
    await Promise.all(connections.map((connection) => connection.closed));
  }

  /** Ends now. */
  async close(): Promise<void> {
    this.#shut();
    await Promise.all(this.#connections.all.map((connection) => connection.close("the client was closed")));
    await this.#dialling?.catch(() => {});
    await this.#connections.growing;
  }

  async #carryLater(call: Call, receiver: Receiver, observer: CallObserver | undefined): Promise<void> {
    let connection: Connection;
    try {
      connection = await this.#connectFor(call);
    } catch (error) {
      observer?.onSettled(call, error as RpcError);
      return receiver.onFailure(error as RpcError);
    }
    this.#connections.withRoom(connection).carry(call, receiver, observer);
  }

  /** The connection for a call that finds none. @throws {RpcError} */
  async #connectFor(call: Call): Promise<Connection> {
    const { timers } = this.#settings;
    for (;;) {
      if (this.#state === "failing") {
        if (!call.waitForReady) throw this.#unavailable();
        const wanted = new Promise<void>((resolve) => this.#wanted.push(resolve));
        await waitFor(wanted, call, timers, `waiting to dial ${this.endpoint} again`);
      }
      try {
        return await waitFor(this.connect(), call, timers, `connecting to ${this.endpoint}`);
      } catch (error) {
        if (!call.waitForReady || error !== this.#failure) throw error;
      }
    }
  }

  async #dial(): Promise<Connection> {
    if (this.#state !== "failing") this.#become("connecting");
    try {
      return await this.#open();
    } catch (error) {
      const failure = asRpcError(error, "unavailable", `Cannot connect to ${this.endpoints.join(", ")}`, {
        executed: "no",
      });
      if (this.#state !== "closed") this.#rest(failure, this.#pace.afterFailureMs(this.#failures++));
      throw failure;
    } finally {
      this.#dialling = undefined;
    }
  }

  async #open(): Promise<Connection> {
    const { limits, timers, logger } = this.#settings;
    const abort = new AbortController();
    this.#aborts.add(abort);
    const timer = timers.after(limits.connectMs, () => {
      abort.abort(new Error(`it took over ${limits.connectMs} ms (limits.connectMs)`));
    });
    try {
      const greeted = await dial(this.endpoints, this.#settings, this.#transport, abort.signal);
      if (abort.signal.aborted) {
        greeted.socket.close();
        throw abort.signal.reason;
      }
      const connection = new Connection(greeted, this.#settings);
      logger.debug(`Connected to ${this.endpoint}`);
      this.#failures = 0;
      this.#failure = undefined;
      this.#connections.add(connection);
      this.#become("ready");
      return connection;
    } finally {
      timer[Symbol.dispose]();
      this.#aborts.delete(abort);
    }
  }

  /** Dials nobody for a while, and lets calls that do not want to wait fail for the same reason. */
  #rest(failure: RpcError, pauseMs: number): void {
    const { timers, logger, platform } = this.#settings;
    this.#failure = failure;
    this.#pauseEndsAt = platform.clock.now() + pauseMs;
    this.#pause = timers.after(pauseMs, () => {
      this.#pause = undefined;
      if (this.#pace.redials?.()) this.connect().catch(() => {}); // the state says it
      else this.#become("idle");
      const wanted = this.#wanted;
      this.#wanted = [];
      for (const wake of wanted) wake();
    });
    logger.debug(`${failure.message}; next attempt in ${Math.round(pauseMs)} ms at the earliest`);
    this.#become("failing");
  }

  /** The last connection is gone, or takes no new calls. */
  #lost(connection: Connection): void {
    const pauseMs = connection.hasLeft ? 0 : this.#pace.afterLossMs();
    if (pauseMs === 0 || this.#state === "closed") return this.#become("idle");
    const why = connection.reason ?? "it is going away";
    const text = `Lost the connection to ${this.endpoint}: ${why}`;
    this.#rest(new RpcError("unavailable", text, { executed: "no" }), pauseMs);
  }

  #become(state: ChannelState): void {
    if (this.#state === "closed" || this.#state === state) return;
    this.#state = state;
    this.onState?.();
  }

  #shut(): void {
    this.#become("closed");
    this.#pause?.[Symbol.dispose]();
    this.#connections.stop();
    for (const abort of this.#aborts) abort.abort(this.#closedError());
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
