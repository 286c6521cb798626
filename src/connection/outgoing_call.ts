/**
 * A call that this side makes, from its OPEN to its END.
 *
 * States: queued (no id yet) → open → settled. It is settled once: by END, RESET, its deadline, its signal, its reader, or
 * the loss of the connection.
 */
import { type Call, Reply } from "../core/call.ts";
import type { Codec } from "../core/codec.ts";
import type { Code } from "../core/code.ts";
import { type Executed, RpcError, textOf, withExecuted } from "../core/error.ts";
import { Metadata, REASON_KEY } from "../core/metadata.ts";
import type { CallObserver } from "../core/observer.ts";
import { ReadyIterator } from "../core/ready_requests.ts";
import type { Receiver } from "../core/receiver.ts";
import type { MetadataProblem } from "../protocol/metadata_block.ts";
import type { Status } from "../protocol/status.ts";
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";
import { Inbox } from "./inbox.ts";
import { Stream, type StreamHost } from "./stream.ts";

/** What a call needs of whoever makes all calls of this side. */
export interface CallOwner {
  /** Writes the OPEN of a call and gives it its number. @throws what the codec or a limit throws */
  open(call: OutgoingCall, now: number): void;
  /** Says that no more requests follow. */
  halfClose(call: OutgoingCall): void;
  /** Makes room for a call that waits. */
  dequeue(call: OutgoingCall): void;
  /** Whether the byte at a position of the outbox was handed to the socket. */
  wasHanded(position: number): boolean;
}

/** What only calls with many messages have. */
class Many {
  /** The replies. */
  inbox: Inbox | undefined = undefined;
  /** The requests, while they are read. */
  requests: AsyncIterator<unknown> | undefined = undefined;
  /** What comes after the replies, once these have been handed out. */
  trailers: Metadata | undefined = undefined;
}

/** A call that this side makes. */
export class OutgoingCall extends Stream {
  /** What is called. */
  readonly call: Call;
  /** Where its OPEN begins in the outbox. */
  openedAt = 0;
  /** Whether the connection has it in its table. A one-way call is there only while part of it waits to be sent. */
  listed = false;
  readonly #owner: CallOwner;
  readonly #observer: CallObserver | undefined;
  readonly #receiver: Receiver;
  #metadata: Metadata | undefined = undefined;
  #many: Many | undefined = undefined;

  constructor(
    host: StreamHost,
    owner: CallOwner,
    call: Call,
    observer: CallObserver | undefined,
    receiver: Receiver,
  ) {
    super(host);
    this.#owner = owner;
    this.call = call;
    this.#observer = observer;
    this.#receiver = receiver;
  }

  /** How its messages are encoded. */
  get codec(): Codec {
    return this.call.codec ?? this.host.settings.codec;
  }

  override get dueAt(): number {
    return this.settled ? Infinity : this.call.deadline;
  }

  /** Sets its deadline and listens to its signal. False when it is over before it began. */
  arm(now: number): boolean {
    const { deadline, signal } = this.call;
    if (signal?.aborted) {
      this.#settle(cancelled(signal.reason, "no"));
      return false;
    }
    if (deadline <= now) {
      this.#settle(
        new RpcError("deadline_exceeded", `Cannot call "${this.call.procedure}": its deadline has passed`, {
          executed: "no",
        }),
      );
      return false;
    }
    signal?.addEventListener("abort", this);
    this.host.expect(deadline);
    return true;
  }

  /** The same call on another connection, which has to carry it from now on. Only what has not begun may move. */
  movedTo(host: StreamHost, owner: CallOwner): OutgoingCall {
    this.settled = true;
    this.call.signal?.removeEventListener("abort", this);
    return new OutgoingCall(host, owner, this.call, this.#observer, this.#receiver);
  }

  /** Sends the OPEN, and what follows it. */
  start(now: number): void {
    try {
      this.#owner.open(this, now);
    } catch (error) {
      this.#settle(
        error instanceof RpcError ? error : new RpcError(
          "invalid_argument",
          `Cannot encode the request of "${this.call.procedure}" as ${this.codec.name}: ${textOf(error)}`,
          { executed: "no", cause: error },
        ),
      );
      return;
    }
    const { kind, messages } = this.call;
    if (kind === "serverStream" || kind === "bidi") this.openWindow();
    if (kind === "oneway") {
      if (!this.listed) this.onSent();
    } else if (messages !== undefined && (kind === "clientStream" || kind === "bidi")) {
      this.call.requestsTaken = true;
      void this.#sendRequests(messages);
    }
  }

  /** All of a one-way call is on its way. */
  onSent(): void {
    this.#settle(undefined, new Reply({}));
  }

  /** The call's signal aborted. */
  handleEvent(): void {
    this.#cut("cancelled", cancelled(this.call.signal?.reason, this.#executedIfCut));
  }

  override onDue(): void {
    this.#cut(
      "deadline_exceeded",
      new RpcError("deadline_exceeded", `"${this.call.procedure}" did not end before its deadline`, {
        executed: this.#executedIfCut,
      }),
    );
  }

  override onLost(reason: string, cause: Error | undefined): void {
    this.#settle(
      new RpcError("unavailable", `Lost the connection to ${this.call.endpoint ?? "the server"}: ${reason}`, {
        executed: this.#executed,
        cause,
      }),
    );
  }

  /** The peer will not run it: it may go elsewhere. */
  onRefused(reason: string): void {
    this.#settle(
      new RpcError("unavailable", `The server refused "${this.call.procedure}": ${reason}`, { executed: "no" }),
    );
  }

  /** The server's places are taken, and too many calls wait already. */
  onQueueFull(maxQueuedCalls: number): void {
    this.#settle(
      new RpcError(
        "resource_exhausted",
        `Cannot queue "${this.call.procedure}": ${maxQueuedCalls} calls wait (the client's limits.maxQueuedCalls)`,
        {
          executed: "no",
        },
      ),
    );
  }

  override onStalled(): void {
    this.#cut(
      "cancelled",
      new RpcError(
        "unavailable",
        `"${this.call.procedure}" got no credit to send for ${this.host.settings.limits.streamStallMs} ms (limits.streamStallMs)`,
        {
          executed: "maybe",
        },
      ),
    );
  }

  /** The responder's metadata came before its first message. */
  onHead(metadata: Metadata | MetadataProblem): void {
    if (this.#metadata !== undefined || this.#answered) {
      throw new ProtocolViolation(
        GoAwayCode.protocol,
        `Cannot go on: the other side sent metadata twice on stream ${this.id}`,
      );
    }
    if (metadata instanceof Metadata) this.#metadata = metadata;
    else this.#cut("internal", this.#problem(metadata));
  }

  #problem({ code, message }: MetadataProblem): RpcError {
    return new RpcError(code === "invalid_argument" ? "internal" : code, message, { executed: "yes" });
  }

  /** A reply message, or a piece of one. */
  onData(bytes: Uint8Array, at: number, end: number, costBytes: number, more: boolean): void {
    const message = this.takePiece(bytes, at, end, costBytes, more);
    if (message === undefined) return;
    if (message === "tooLarge") return this.#tooLarge();
    if (this.call.kind === "unary" || this.call.kind === "clientStream") {
      this.host.intake.consumed(this.messageCost);
      return this.#cut(
        "internal",
        new RpcError("internal", `"${this.call.procedure}" answered with a stream, not with one message`),
      );
    }
    const cost = this.messageCost;
    let value;
    try {
      value = this.decoded(this.codec, message, bytes, at, end);
    } catch (error) {
      this.host.intake.consumed(cost);
      return this.#cut("internal", this.#undecodable(error));
    }
    this.#answer().push(value, cost);
  }

  /** The end, with the reply's last piece for kinds that get one. */
  onEnd(status: Status, bytes: Uint8Array, at: number, end: number): void {
    if (status.problem !== undefined) return this.#settle(this.#problem(status.problem));
    this.#metadata ??= status.metadata;
    if (status.code !== undefined) {
      const error = this.#failure(status, status.code);
      // When both sides see that its time is over, which travels as whole milliseconds, nothing more is read, whoever saw it first.
      if (status.code === "deadline_exceeded" && this.call.deadline - 1 < this.host.settings.timers.turnNow()) {
        this.#many?.inbox?.drop(error);
      }
      return this.#settle(error);
    }
    const single = this.call.kind === "unary" || this.call.kind === "clientStream";
    if (!single) {
      this.host.intake.discard(end - at);
      const inbox = this.#answer();
      this.#absorbTrailers(status.trailers);
      inbox.end();
      return this.#settle(undefined);
    }
    const message = this.takePiece(bytes, at, end, end - at, false);
    if (message === "tooLarge") return this.#tooLarge();
    const cost = this.messageCost;
    let value;
    try {
      value = this.decoded(this.codec, message!, bytes, at, end);
    } catch (error) {
      this.host.intake.consumed(cost);
      return this.#settle(this.#undecodable(error));
    }
    this.host.intake.consumed(cost);
    this.#settle(undefined, new Reply({ message: value, metadata: this.#metadata, trailers: status.trailers }));
  }

  /** Whether it may have run, now that nothing more leaves the connection. */
  get #executed(): Executed {
    return this.id === 0 || !this.#owner.wasHanded(this.openedAt) ? "no" : "maybe";
  }

  /** Whether it may run, or have run, when this side ends it: an OPEN that was written leaves in any case. */
  get #executedIfCut(): Executed {
    return this.id === 0 ? "no" : "maybe";
  }

  /** Hands out the reply of a stream, once. */
  #answer(): Inbox {
    const many = this.#many ??= new Many();
    const inbox = many.inbox ??= new Inbox(
      (costBytes) => this.consumed(costBytes),
      () => this.#cut("cancelled", undefined),
    );
    if (many.trailers === undefined) {
      many.trailers = new Metadata();
      this.#receiver.onReply(new Reply({ messages: inbox, metadata: this.#metadata, trailers: many.trailers }));
    }
    return inbox;
  }

  /** Whether the reply of a stream was handed out. */
  get #answered(): boolean {
    return this.#many?.trailers !== undefined;
  }

  #absorbTrailers(trailers: Metadata | undefined): void {
    if (trailers !== undefined) this.#many?.trailers?.absorb(trailers);
  }

  async #sendRequests(messages: AsyncIterable<unknown>): Promise<void> {
    try {
      const requests = messages[Symbol.asyncIterator]();
      this.#many ??= new Many();
      this.#many.requests = requests;
      const ready = requests instanceof ReadyIterator ? requests : undefined;
      for (;;) {
        const { done, value } = ready?.take() ?? await requests.next();
        const request = ready !== undefined && value instanceof Promise ? await value : value;
        if (this.settled) return;
        if (done) return this.#owner.halfClose(this);
        const sent = this.#sendRequest(request);
        if (sent !== undefined) await sent;
        // What is to leave does so in a microtask.
        else if (ready !== undefined && this.host.outbox.isDue) await undefined;
        if (this.settled) return;
      }
    } catch (error) {
      if (this.settled) return;
      this.#cut(
        "cancelled",
        // Whatever the error says of itself, this call has been opened.
        error instanceof RpcError ? withExecuted(error, "maybe") : new RpcError(
          "cancelled",
          `Cannot go on with "${this.call.procedure}": its requests failed: ${textOf(error)}`,
          { executed: "maybe", cause: error },
        ),
      );
    }
  }

  #sendRequest(value: unknown): Promise<void> | undefined {
    const encoded = this.codec.encode(value);
    checkSize(encoded, this.host.hello.maxMessageBytes, this.call.procedure);
    return this.host.sender.sendData(this, encoded, 0);
  }

  #failure(status: Status, code: Code): RpcError {
    let details: unknown;
    if (status.details !== undefined) {
      try {
        details = this.codec.decode(status.details);
      } catch {
        details = undefined; // the failure itself matters more than its details
      }
    }
    const reason = status.trailers?.text(REASON_KEY);
    status.trailers?.delete(REASON_KEY);
    this.#absorbTrailers(status.trailers);
    return new RpcError(code, status.message, {
      executed: status.executed,
      reason,
      details,
      metadata: status.trailers,
      retryAfterMs: status.retryAfterMs,
    });
  }

  #undecodable(error: unknown): RpcError {
    return new RpcError(
      "internal",
      `Cannot decode a reply of "${this.call.procedure}" as ${this.codec.name}: ${textOf(error)}`,
      { executed: "yes", cause: error },
    );
  }

  #tooLarge(): void {
    const max = this.host.settings.limits.maxMessageBytes;
    this.host.intake.consumed(this.messageCost);
    this.#cut(
      "resource_exhausted",
      new RpcError(
        "resource_exhausted",
        `Cannot take a reply of "${this.call.procedure}" of over ${max} bytes (the client's limits.maxMessageBytes)`,
        {
          executed: "yes",
        },
      ),
    );
  }

  /** Ends it from this side. */
  #cut(code: Code, error: RpcError | undefined): void {
    if (this.settled) return;
    if (this.id === 0) this.#owner.dequeue(this);
    else if (this.listed) this.host.reset(this, code);
    this.#many?.inbox?.drop(error);
    this.#settle(error);
  }

  #settle(error: RpcError | undefined, reply?: Reply): void {
    if (this.settled) return;
    this.settled = true;
    this.call.signal?.removeEventListener("abort", this);
    this.discardPieces();
    this.host.forget(this);
    this.#observer?.onSettled(this.call, error);
    if (this.#many?.requests !== undefined) {
      // A generator that is waiting answers only later; nobody waits for it.
      this.#many.requests.return?.().catch(() => {});
      this.#many.requests = undefined;
    }
    if (error !== undefined) {
      this.#many?.inbox?.end(error);
      if (!this.#answered) this.#receiver.onFailure(error);
    } else if (reply !== undefined) this.#receiver.onReply(reply);
    else if (!this.#answered) this.#receiver.onFailure(cancelled(undefined, "maybe"));
  }
}

/** Checks an encoded message against the peer's limit. @throws {RpcError} `resource_exhausted` */
export function checkSize(encoded: Uint8Array | string, maxBytes: number, procedure: string): void {
  // A text has at most three bytes for each of its units: most need not be measured.
  if (typeof encoded === "string" ? encoded.length * 3 <= maxBytes : encoded.length <= maxBytes) return;
  const size = typeof encoded === "string" ? new TextEncoder().encode(encoded).length : encoded.length;
  if (size <= maxBytes) return;
  throw new RpcError(
    "resource_exhausted",
    `Cannot send a message of ${size} bytes with "${procedure}": the receiver's limit is ${maxBytes} (limits.maxMessageBytes)`,
    { executed: "no" },
  );
}

function cancelled(reason: unknown, executed: Executed): RpcError {
  return new RpcError("cancelled", "The call was cancelled", { executed, cause: reason });
}
