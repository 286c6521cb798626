/**
 * The calls that this side makes on one connection: those that run there, and those that wait for a place.
 *
 * Invariants: stream numbers count up by two without a gap, and none is used twice; no more calls run than the other side lets;
 * none begins while too much waits to be sent.
 */
import type { Call } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { CallObserver } from "../core/observer.ts";
import type { Receiver } from "../core/receiver.ts";
import type { ByteWriter } from "../protocol/byte_writer.ts";
import { Kind, MAX_STREAM_ID } from "../protocol/frame.ts";
import { checkMetadata } from "../protocol/metadata_block.ts";
import { OpenHeader, writeOpen } from "../protocol/open.ts";
import { CallQueue } from "./call_queue.ts";
import { type CallOwner, checkSize, OutgoingCall } from "./outgoing_call.ts";
import { OwnProcedures } from "./procedure_names.ts";
import type { StreamHost } from "./stream.ts";
import type { StreamTable } from "./stream_table.ts";

/** For how long a peer that refused a call is taken to be full, in milliseconds (PROTOCOL §10). */
const FULL_MS = 100;
/** Beyond this share of the stream numbers, no new call begins: the connection is replaced. */
const LAST_OWN_STREAM = Math.floor(MAX_STREAM_ID * 0.75);

/** What it needs of the connection beyond what every stream does. */
export interface CallerSideHost extends StreamHost {
  /** All streams of the connection. */
  readonly streams: StreamTable;
  /** Why no call can begin on it, or `undefined`. */
  readonly unusable: string | undefined;
  /** There is something to watch from now on. */
  watch(now: number): void;
}

// One for all connections: a header is written in one go.
const header = new OpenHeader();

/** The calls that this side makes. */
export class CallerSide implements CallOwner {
  /** Told when a place becomes free for which no call waits here. */
  onRoom: (() => void) | undefined = undefined;
  readonly #host: CallerSideHost;
  readonly #queue = new CallQueue<OutgoingCall>();
  readonly #procedures = new OwnProcedures();
  #nextStream: number;
  #running = 0;
  /** How many may run at once. */
  #places: number;
  #fullUntil: Disposable | undefined;

  constructor(host: CallerSideHost, firstStream: number) {
    this.#host = host;
    this.#nextStream = firstStream;
    this.#places = host.hello.maxStreams;
  }

  /** How many calls run, and wait. */
  get inFlight(): number {
    return this.#running + this.#queue.size;
  }

  /** How many of them wait. */
  get queued(): number {
    return this.#queue.size;
  }

  /** The number of the last call that began. */
  get lastStream(): number {
    return this.#nextStream - 2;
  }

  /** Whether stream numbers are left. */
  get hasNumbers(): boolean {
    return this.#nextStream < LAST_OWN_STREAM;
  }

  /** Whether a call that comes now begins at once, as far as places and what waits to be sent go. */
  get hasPlace(): boolean {
    return this.#running < this.#places && !this.#host.sender.isCrowded;
  }

  /** Those that wait, in a list of its own. */
  waiting(): OutgoingCall[] {
    return this.#queue.items();
  }

  /** Carries a call, and tells an observer how it ended. */
  carry(call: Call, receiver: Receiver, observer: CallObserver | undefined): void {
    this.#begin(new OutgoingCall(this.#host, this, call, observer, receiver));
  }

  /** Gives another connection as many of the calls that wait here as it has places for, in their order. */
  giveQueued(to: CallerSide): void {
    while (this.#queue.size > 0 && to.hasPlace && to.#host.unusable === undefined) {
      to.#begin(this.#queue.shift()!.movedTo(to.#host, to));
    }
  }

  #begin(outgoing: OutgoingCall): void {
    const { call } = outgoing;
    const { unusable, sender, settings } = this.#host;
    if (unusable !== undefined) return outgoing.onRefused(unusable);
    // Whoever asked for a time-out had the clock read for this call alone.
    const now = Math.max(settings.timers.turnNow(), call.startedAt);
    if (!outgoing.arm(now)) return;
    if (this.hasPlace) return outgoing.start(now);
    const { maxQueuedCalls } = settings.limits;
    if (this.#queue.size >= maxQueuedCalls) return outgoing.onQueueFull(maxQueuedCalls);
    this.#queue.push(outgoing);
    if (sender.isCrowded) void sender.room().then(() => this.#startQueued());
  }

  /** A call that ran is over. */
  ended(): void {
    this.#running--;
    if (this.#queue.size > 0) this.#startQueued();
    else this.onRoom?.();
  }

  /**
   * A call was refused: the places of calls that were taken back are not free before their handlers have ended. For a moment no
   * more calls run at once than do now, so that the peer need not take the next ones for a flood.
   */
  full(): void {
    const { settings, hello } = this.#host;
    this.#places = Math.min(this.#places, this.#running - 1);
    this.#fullUntil ??= settings.timers.after(FULL_MS, () => {
      this.#fullUntil = undefined;
      this.#places = hello.maxStreams;
      if (this.#queue.size > 0) this.#startQueued();
      else this.onRoom?.();
    });
  }

  /** Nobody begins any more: those that wait may go elsewhere. */
  refuseQueued(reason: string): void {
    for (const queued of this.#queue.takeAll()) queued.onRefused(reason);
  }

  /** Holds nothing any more. */
  stop(): void {
    this.#fullUntil?.[Symbol.dispose]();
  }

  #startQueued(): void {
    while (this.#queue.size > 0 && this.hasPlace) {
      const outgoing = this.#queue.shift()!;
      const { unusable } = this.#host;
      if (unusable === undefined) outgoing.start(this.#host.settings.platform.clock.now());
      else outgoing.onRefused(unusable);
    }
  }

  // What calls need.

  wasHanded(position: number): boolean {
    return this.#host.outbox.handedBytes > position;
  }

  dequeue(call: OutgoingCall): void {
    this.#queue.delete(call);
  }

  halfClose(call: OutgoingCall): void {
    const { outbox } = this.#host;
    outbox.data.endFrame(outbox.data.beginFrame(Kind.end, 0, call.id));
    outbox.schedule();
  }

  open(outgoing: OutgoingCall, now: number): void {
    const { call, codec } = outgoing;
    const { hello, outbox, sender, settings, streams } = this.#host;
    if (call.dedupe !== undefined) this.#bind(call);
    const streaming = call.kind === "clientStream" || call.kind === "bidi";
    const encoded = streaming ? "" : codec.encode(call.message);
    checkSize(encoded, hello.maxMessageBytes, call.procedure);
    if (call.hasMetadata) checkMetadata(call.metadata, hello);
    const writer = outbox.data;
    outgoing.id = this.#nextStream;
    outgoing.openedAt = outbox.position;
    const frameAt = writer.beginFrame(Kind.open, 0, outgoing.id);
    this.#writeHeader(writer, call, codec.name, now);
    this.#nextStream += 2;
    const oneway = call.kind === "oneway";
    const whole = sender.endOpen(outgoing, writer, frameAt, encoded, oneway ? () => outgoing.onSent() : undefined);
    settings.counters.callsSent++;
    call.sentAt = now;
    if (oneway && whole) return;
    outgoing.listed = true;
    streams.set(outgoing.id, outgoing);
    if (this.#running++ === 0) this.#host.watch(now);
  }

  /** A call that may have run must not reach a server that does not remember it. */
  #bind(call: Call): void {
    const { instance, incarnation } = this.#host.hello;
    const { bound, endpoint = "" } = call;
    if (bound !== undefined && (bound.instance !== instance || bound.incarnation !== incarnation)) {
      throw new RpcError(
        "unavailable",
        `Cannot repeat "${call.procedure}": ${endpoint} has started anew, and does not remember it`,
        { executed: "no", retryAfterMs: -1 },
      );
    }
    call.servedBy = { endpoint, instance, incarnation };
  }

  #writeHeader(writer: ByteWriter, call: Call, codec: string, now: number): void {
    header.reset();
    this.#procedures.write(call.procedure, header);
    header.kind = call.kind;
    header.idempotent = call.idempotent;
    if (call.deadline !== Infinity) header.timeoutMs = Math.max(1, Math.round(call.deadline - now));
    header.codec = codec === this.#host.settings.codec.name ? undefined : codec;
    header.attempt = call.attempt;
    header.hop = call.hop;
    header.criticality = call.criticality;
    header.dedupe = call.dedupe?.bytes;
    header.trace = call.trace;
    header.routing = call.hashKey;
    header.metadata = call.hasMetadata ? call.metadata : undefined;
    writeOpen(writer, header);
  }
}
