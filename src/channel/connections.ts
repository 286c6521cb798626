/**
 * The connections with one instance: mostly one. When calls find no place on it, because the server lets no more run on one
 * connection or because too much waits to be sent, there is another one beside it, and another; those that are not needed any
 * more are closed. Calls take the first that has a place, so that the others become idle.
 */
import type { LoadReport } from "../core/load.ts";
import type { Connection } from "../connection/connection.ts";
import type { Settings } from "../connection/settings.ts";
import type { Pace } from "./pace.ts";

/** How often connections beside the first are looked at: one that is idle twice in a row is closed. */
const SHRINK_MS = 10_000;

/** What the connections need of their channel. */
export interface ConnectionsHost {
  readonly endpoint: string;
  readonly settings: Settings;
  readonly pace: Pace;
  /** Opens a connection, and adds it. */
  open(): Promise<Connection>;
  /** No connection is left that takes new calls; this was the last one. */
  onLast(connection: Connection): void;
}

/** The connections with one instance. */
export class Connections {
  /** The first, which is open unless it has just been lost. */
  first: Connection | undefined = undefined;
  readonly #host: ConnectionsHost;
  readonly #further = new Map<Connection, { wasIdle: boolean }>();
  /** Those that take no new calls, until the calls that run on them have ended. */
  readonly #leaving = new Set<Connection>();
  #growing: Promise<void> | undefined;
  #failures = 0;
  #growAfter = -Infinity;
  #shrinker: Disposable | undefined;
  readonly #load = { inFlight: 0, limit: 0, lagMs: 0 };
  #othersInFlight = 0;
  #toldAt = -Infinity;
  readonly #onLoad = (load: LoadReport) => {
    this.#load.limit = load.limit;
    this.#load.lagMs = load.lagMs;
    this.#othersInFlight = Math.max(0, load.inFlight - this.inFlight);
    this.#toldAt = this.#host.settings.timers.turnNow();
  };

  constructor(host: ConnectionsHost) {
    this.#host = host;
  }

  /** All that are not closed, the first first. */
  get all(): Connection[] {
    return [...this.first === undefined ? [] : [this.first], ...this.#further.keys(), ...this.#leaving];
  }

  /** Opening another one, if that is under way. Never rejects. */
  get growing(): Promise<void> | undefined {
    return this.#growing;
  }

  /**
   * What the server last said about its load, on any of them, as it is now as far as this client's own calls go; `undefined` when
   * it did not within `maxAgeMs` before `now`. The same object each time.
   */
  freshLoad(now: number, maxAgeMs: number): LoadReport | undefined {
    if (now - this.#toldAt > maxAgeMs || this.first === undefined) return undefined;
    this.#load.inFlight = this.#othersInFlight + this.inFlight;
    return this.#load;
  }

  /** How many calls of this client run on them, and wait for them. */
  get inFlight(): number {
    let sum = this.first === undefined ? 0 : this.first.calls.inFlight;
    for (const connection of this.#further.keys()) sum += connection.calls.inFlight;
    for (const connection of this.#leaving) sum += connection.calls.inFlight;
    return sum;
  }

  /** The first connection that has a place; where none has, the very first, on which a call waits while another is opened. */
  withRoom(first: Connection): Connection {
    if (first.hasRoom) return first;
    for (const connection of this.#further.keys()) if (connection.hasRoom) return connection;
    const { maxConnectionsPerInstance } = this.#host.settings.limits;
    if (this.#further.size + 1 < maxConnectionsPerInstance) this.#growing ??= this.#grow();
    return first;
  }

  /** There is a new one. */
  add(connection: Connection): void {
    connection.onLoad = this.#onLoad;
    connection.onGoAway = () => {
      this.#leaving.add(connection);
      this.#left(connection);
    };
    void connection.closed.then(() => {
      this.#left(connection);
      this.#leaving.delete(connection);
    });
    const { first } = this;
    if (first === undefined || !first.isOpen) {
      if (first !== undefined) this.#leaving.add(first);
      this.first = connection;
      return;
    }
    this.#further.set(connection, { wasIdle: false });
    for (const each of [first, connection]) each.calls.onRoom ??= () => this.#offer(each);
    this.#offer(connection);
    this.#shrinkLater();
  }

  /** Looks after them no more. */
  stop(): void {
    this.#shrinker?.[Symbol.dispose]();
  }

  /** A connection takes no new calls any more. */
  #left(connection: Connection): void {
    if (this.#further.delete(connection) || this.first !== connection) return;
    [this.first] = this.#further.keys();
    if (this.first === undefined) this.#host.onLast(connection);
    else this.#further.delete(this.first);
  }

  /** Opens connections beside those that are full, while somebody needs a place and there may be more. Never rejects. */
  async #grow(): Promise<void> {
    const { settings, pace, endpoint } = this.#host;
    const { clock } = settings.platform;
    try {
      await undefined; // whoever needs a place is only about to wait for it
      while (this.#needsRoom && clock.now() >= this.#growAfter) {
        await this.#host.open();
        this.#failures = 0;
      }
    } catch (error) {
      this.#growAfter = clock.now() + pace.afterFailureMs(this.#failures++);
      settings.logger.debug(`Cannot open another connection to ${endpoint}`, error);
    } finally {
      this.#growing = undefined;
    }
  }

  get #needsRoom(): boolean {
    return this.first !== undefined && this.#further.size + 1 < this.#host.settings.limits.maxConnectionsPerInstance &&
      this.all.some(({ calls }) => calls.queued > 0);
  }

  /** A connection has a place, and nobody of its own waits for it. */
  #offer(connection: Connection): void {
    if (this.#further.size === 0) return;
    for (const other of this.all) {
      if (!connection.hasRoom) return;
      if (other !== connection) other.calls.giveQueued(connection.calls);
    }
  }

  #shrinkLater(): void {
    this.#shrinker ??= this.#host.settings.timers.after(SHRINK_MS, () => {
      this.#shrinker = undefined;
      for (const [connection, state] of this.#further) {
        const isIdle = connection.calls.inFlight === 0;
        if (isIdle && state.wasIdle) connection.goAway("the client needs it no longer");
        state.wasIdle = isIdle;
      }
      if (this.#further.size > 0) this.#shrinkLater();
    });
  }
}
