import type { Call } from "../core/call.ts";
import type { RpcError } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import { type CallObserver, isServersFault } from "../core/observer.ts";
import type { Receiver } from "../core/receiver.ts";
import type { Candidate } from "../balancer/balancer.ts";
import { Observations } from "../balancer/observations.ts";
import type { Channel } from "../channel/channel.ts";
import type { Instance } from "../registry/instance.ts";
import { Standing } from "./ejector.ts";
import type { Resolved } from "./merged_set.ts";
import type { Traffic } from "./traffic.ts";

/** How long what a server said about its load is worth something. */
const LOAD_FRESH_MS = 2_000;

/** An instance of a service with the channel to it, and what became of the calls that it got. */
export class Member extends Standing implements Candidate, CallObserver {
  readonly endpoint: string;
  readonly since: number;
  inFlight = 0;
  streams = 0;
  /** How many times it was ejected since it is known. */
  ejections = 0;
  #resolved: Resolved;
  #channel: Channel;
  readonly #traffic: Traffic;
  readonly #observations: Observations | undefined;

  constructor(resolved: Resolved, channel: Channel, traffic: Traffic, since: number) {
    super();
    this.endpoint = channel.endpoint;
    this.since = since;
    this.#resolved = resolved;
    this.#channel = channel;
    this.#traffic = traffic;
    if (traffic.observed) this.#observations = new Observations();
  }

  get instance(): Instance {
    return this.#resolved.instance;
  }

  get channel(): Channel {
    return this.#channel;
  }

  /** Whether the registry doubts that it lives. */
  get suspect(): boolean {
    return this.#resolved.suspect;
  }

  /** Whether it is a last resort, for when nobody else is left. */
  get doubtful(): boolean {
    return this.#resolved.doubtful;
  }

  get latencyMs(): number {
    return this.#observations?.latencyAt(this.#traffic.now()) ?? 0;
  }

  get errorShare(): number {
    return this.#observations?.errorShareAt(this.#traffic.now()) ?? 0;
  }

  get load(): LoadReport | undefined {
    return this.#channel.freshLoad(this.#traffic.now(), LOAD_FRESH_MS);
  }

  /** Whether this is what was known of it before, so that what was seen of it holds. */
  isSame({ instance: { id, incarnation, endpoints } }: Resolved): boolean {
    const { instance } = this;
    return id === instance.id && incarnation === instance.incarnation && endpoints[0] === this.endpoint;
  }

  /** The registry says something else about it, or it is back. */
  update(resolved: Resolved, channel: Channel): void {
    this.#resolved = resolved;
    this.#channel = channel;
  }

  /** It is listed no more. Should it return, then not into an ejection whose place others have taken since. */
  leave(): void {
    this.ejectedAt = undefined;
    this.good = this.bad = 0;
  }

  /** Carries a call. */
  carry(call: Call, receiver: Receiver): void {
    this.inFlight++;
    this.#traffic.inFlight++;
    if (isStream(call)) this.streams++;
    this.#channel.carry(call, receiver, this);
  }

  onSettled(call: Call, failure: RpcError | undefined): void {
    this.inFlight--;
    const traffic = this.#traffic;
    traffic.inFlight--;
    if (traffic.ejection !== undefined) {
      // A call that did not run, and one that its caller took back, say nothing.
      if (failure === undefined) this.good++;
      else if (isServersFault(failure)) this.bad++;
      else if (failure.executed !== "no" && failure.code !== "cancelled") this.good++;
      traffic.ejection.callEnded();
    }
    if (isStream(call)) this.streams--;
    else if (this.#observations !== undefined) this.#observe(this.#observations, call, failure);
  }

  #observe(observations: Observations, { sentAt, kind }: Call, failure: RpcError | undefined): void {
    // Of a one-way call nobody knows how it went.
    if (sentAt === undefined || kind === "oneway") return;
    const now = this.#traffic.now();
    const tookMs = now - sentAt;
    if (failure === undefined) observations.replied(tookMs, false, now);
    else if (failure.code === "cancelled") observations.waited(tookMs, now);
    // One that has no room for a call is not broken, but others will have more.
    else observations.replied(tookMs, isServersFault(failure) || failure.code === "resource_exhausted", now);
  }
}

function isStream({ kind }: Call): boolean {
  return kind !== "unary" && kind !== "oneway";
}
