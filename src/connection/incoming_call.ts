/**
 * A call that the other side makes, from its OPEN to the end of its handler.
 *
 * Two things end at different times: the stream, when END was sent or RESET came; and the handler, which may go on after
 * a RESET. The call's place stays taken until its handler has ended.
 */
import type { Waiter } from "../admission/admission.ts";
import type { Refusal } from "../admission/refusal.ts";
import type { Caller, Place } from "../admission/wait_queue.ts";
import { Call, type Context, type Peer, Reply } from "../core/call.ts";
import type { CallTerms } from "../core/call_terms.ts";
import type { Codec } from "../core/codec.ts";
import type { Criticality } from "../core/criticality.ts";
import { type Executed, HANDLER_FAILED, RpcError, textOf, withExecuted } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import { Metadata } from "../core/metadata.ts";
import type { TraceContext } from "../core/trace_context.ts";
import type { OpenHeader } from "../protocol/open.ts";
import { merged, refusal, statusOf, writeHead } from "./answer.ts";
import { Inbox } from "./inbox.ts";
import { checkSize } from "./outgoing_call.ts";
import type { Arrival } from "./settings.ts";
import { Stream, type StreamHost } from "./stream.ts";

/** What a call needs of whoever answers all calls of the other side. */
export interface AnswerOwner {
  /** Who is on the other side. */
  readonly peer: Peer;
  /** Who that is, as far as admission tells callers apart. */
  readonly caller: Caller | undefined;
  /** What the other side is to be told of the load with a reply that goes out now. */
  loadToTell(): LoadReport | undefined;
  /** Takes note that a handler has ended, and its place is free. */
  handlerEnded(): void;
}

/** What the gate says of a call; "later" when it was not asked yet, since the message is not complete. */
export type Verdict = "pass" | "run" | "wait" | "later";

/** A call that the other side makes, and what its handler sees of it. */
export class IncomingCall extends Stream implements Arrival, Context, Waiter {
  /** The request, for kinds that bring one, once it is there. */
  message: unknown = undefined;
  trace: TraceContext | undefined;
  /** Whether its connection was lost, rather than that it was cancelled. */
  lost = false;
  /** Whether its handler has begun to run. The router sets it. */
  started = false;
  readonly #owner: AnswerOwner;
  readonly #terms: CallTerms;
  readonly #deadline: number;
  #metadata: Metadata | undefined;
  #responseMetadata: Metadata | undefined;
  #trailers: Metadata | undefined;
  #abort: AbortController | undefined;
  #reason: RpcError | undefined;
  #requests: Inbox | undefined;
  #handler: "waiting" | "running" | "ended" = "waiting";
  /** What the gate has said. */
  #verdict: Verdict = "pass";
  /** Where it waits at the gate. */
  #place: Place<Waiter> | undefined = undefined;
  /** Its message while it waits, there or for others' answers to leave: not decoded, and not paid back. */
  #held: { readonly message: Uint8Array; readonly cost: number } | undefined = undefined;
  /** What the gate gave it, to have it back in the end; −1 when it did not pass there. */
  #pass = -1;
  #stamp = 0;
  #headSent = false;
  /** Whether END is on its way; a long reply may still wait for credit. */
  #ended = false;

  constructor(
    host: StreamHost,
    owner: AnswerOwner,
    id: number,
    terms: CallTerms,
    header: OpenHeader,
  ) {
    super(host);
    this.id = id;
    this.#owner = owner;
    this.#terms = terms;
    this.trace = header.trace;
    this.#metadata = header.metadata;
    this.#deadline = header.timeoutMs < 0 ? Infinity : host.heardAt + header.timeoutMs;
  }

  get procedure(): string {
    return this.#terms.procedure;
  }

  get kind(): Call["kind"] {
    return this.#terms.kind;
  }

  /** The requests, for kinds that bring many, once it runs. */
  get messages(): AsyncIterable<unknown> | undefined {
    return this.#handler === "waiting" ? undefined : this.#requests;
  }

  get attempt(): number {
    return this.#terms.attempt;
  }

  get hop(): number {
    return this.#terms.hop;
  }

  get criticality(): Criticality {
    return this.#terms.criticality;
  }

  get #codec(): Codec {
    return this.#terms.codec!;
  }

  override get dueAt(): number {
    return this.settled ? Infinity : this.#place === undefined ? this.#deadline : this.#place.until;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  get metadata(): Metadata {
    return this.#metadata ??= new Metadata();
  }

  get responseMetadata(): Metadata {
    return this.#responseMetadata ??= new Metadata();
  }

  get trailers(): Metadata {
    return this.#trailers ??= new Metadata();
  }

  get peer(): Peer {
    return this.#owner.peer;
  }

  remainingMs(): number {
    return Math.max(0, this.#deadline - this.host.settings.platform.clock.now());
  }

  get context(): Context {
    return this;
  }

  get keyed(): boolean {
    return this.#terms.dedupe !== undefined;
  }

  toCall(): Call {
    const { message, messages, trace } = this;
    const part = { message, messages, metadata: this.#metadata, deadline: this.#deadline, trace, context: this };
    return new Call(part, this.#terms);
  }

  /** Takes the message of its OPEN, and runs it when that is all it waits for. `verdict` is what the gate has said. */
  onOpen(bytes: Uint8Array, at: number, end: number, more: boolean, verdict: Verdict): void {
    this.#verdict = verdict;
    if (this.#deadline !== Infinity) {
      if (this.#deadline <= this.host.heardAt) {
        this.host.settings.counters.callsExpired++;
        this.#discard(end - at);
        return this.#end(
          new RpcError("deadline_exceeded", "The deadline had passed when the call arrived", { executed: "no" }),
        );
      }
    }
    if (this.kind === "clientStream" || this.kind === "bidi") {
      this.#discard(end - at);
      this.openWindow();
      this.#requests = new Inbox((costBytes) => this.consumed(costBytes), () => {});
      if (this.#mayRun(0)) {
        this.#run(undefined);
        this.#ran();
      }
    } else this.#onPiece(bytes, at, end, end - at, more);
    if (!this.settled && this.#place === undefined) this.host.expect(this.#deadline);
  }

  /** Whether nothing of it is left on the connection. */
  get isOver(): boolean {
    return this.settled && this.#ended;
  }

  /** Its turn has come at the gate. */
  proceed(): void {
    this.#place = undefined;
    this.#verdict = "run";
    this.host.expect(this.#deadline);
    this.#goOn();
  }

  /** What it waited for has come. */
  #goOn(): void {
    if (this.settled || !this.#mayRun(this.#held?.message.length ?? 0)) return;
    if (this.#requests !== undefined) return this.#run(undefined);
    const { message, cost } = this.#held!;
    this.#held = undefined;
    this.#runWith(message, cost, message, 0, message.length);
  }

  /** The gate does not let it in. */
  refused(why: Refusal): void {
    if (this.settled) return;
    const { counters, gate } = this.host.settings;
    counters.callsRefused++;
    if (this.kind === "oneway") {
      counters.onewaysDropped++;
      this.#ended = true;
    } else {
      this.#ended = this.host.sender.sendEnd(this, "", refusal(why.message, gate!.retryAfterMs()));
    }
    this.#settle();
  }

  /** Tells the caller that it may go elsewhere, unless it has begun to run. */
  giveBack(): void {
    if (this.settled || this.#handler !== "waiting") return;
    const { counters } = this.host.settings;
    counters.callsRefused++;
    if (this.kind === "oneway") counters.onewaysDropped++;
    else this.host.reset(this, undefined);
    this.#leave(new RpcError("unavailable", "The server goes away", { executed: "no" }));
  }

  /** Ends it unrun; what it brought is paid back. */
  refuse(error: RpcError, messageBytes: number): void {
    this.#discard(messageBytes);
    this.#end(error);
  }

  /** A request message, or a piece of one. */
  onData(bytes: Uint8Array, at: number, end: number, costBytes: number, more: boolean, last: boolean): void {
    this.#onPiece(bytes, at, end, costBytes, more);
    if (last) this.onLast();
  }

  /** No more requests follow. */
  onLast(): void {
    this.#requests?.end();
  }

  /** The caller takes it back. */
  onReset(): void {
    this.host.settings.counters.callsCancelled++;
    this.#leave(new RpcError("cancelled", "The caller cancelled the call"));
  }

  override onLost(reason: string): void {
    this.lost = true;
    this.#leave(new RpcError("cancelled", `Lost the connection to the caller: ${reason}`));
  }

  override onDue(): void {
    if (this.#place !== undefined) return this.refused(this.host.settings.gate!.giveUp(this.#place));
    if (this.#handler === "waiting") this.host.settings.counters.callsExpired++;
    const error = new RpcError("deadline_exceeded", "The deadline passed before the handler ended", {
      executed: this.started ? "maybe" : "no",
    });
    this.#abortWith(error);
    this.#requests?.drop(error);
    this.#end(error);
  }

  override onStalled(): void {
    const error = new RpcError(
      "unavailable",
      `The caller gave no credit for ${this.host.settings.limits.streamStallMs} ms (limits.streamStallMs)`,
    );
    if (this.settled) {
      this.host.reset(this, "unavailable");
      return this.#leave(error);
    }
    this.#abortWith(error);
    this.#requests?.drop(error);
    this.#end(error);
  }

  #onPiece(bytes: Uint8Array, at: number, end: number, costBytes: number, more: boolean): void {
    const message = this.takePiece(bytes, at, end, costBytes, more);
    if (message === undefined) return;
    const cost = this.messageCost;
    if (message === "tooLarge") {
      this.host.intake.consumed(cost);
      const max = this.host.settings.limits.maxMessageBytes;
      return this.#failRequest(
        new RpcError(
          "resource_exhausted",
          `Cannot take a message of over ${max} bytes (the server's limits.maxMessageBytes)`,
          {
            executed: this.started ? "yes" : "no",
          },
        ),
      );
    }
    if (this.#requests !== undefined || this.#handler !== "waiting" || this.#held !== undefined) {
      return this.#onMessage(message, cost, bytes, at, end);
    }
    if (this.#mayRun(message === "inPlace" ? end - at : message.length)) {
      this.#runWith(message, cost, bytes, at, end);
      this.#ran();
    } else if (this.settled) this.host.intake.consumed(cost);
    else this.#held = { message: message === "inPlace" ? bytes.slice(at, end) : message, cost };
  }

  /** Decodes the one request that it has, and runs it. */
  #runWith(message: Uint8Array | "inPlace", cost: number, bytes: Uint8Array, at: number, end: number): void {
    let value;
    try {
      value = this.decoded(this.#codec, message, bytes, at, end);
    } catch (error) {
      this.host.intake.consumed(cost);
      return this.#undecodable(error);
    }
    this.host.intake.consumed(cost);
    this.#run(value);
  }

  /** One of many requests; or one too many, which is passed over. */
  #onMessage(message: Uint8Array | "inPlace", cost: number, bytes: Uint8Array, at: number, end: number): void {
    if (this.#requests === undefined) return this.host.intake.consumed(cost);
    let value;
    try {
      value = this.decoded(this.#codec, message, bytes, at, end);
    } catch (error) {
      this.host.intake.consumed(cost);
      return this.#undecodable(error);
    }
    this.#requests.push(value, cost);
  }

  #undecodable(error: unknown): void {
    this.#failRequest(
      new RpcError("invalid_argument", `Cannot decode the request as ${this.#codec.name}: ${textOf(error)}`, {
        executed: this.started ? "yes" : "no",
      }),
    );
  }

  /** All that it needs is there, so many bytes: whether it runs, rather than wait at the gate or be refused there. */
  #mayRun(bytes: number): boolean {
    if (this.#verdict === "pass") return true;
    const { sender, settings: { gate }, heardAt: now } = this.host;
    // Its answer could not leave: it would be one more that is held in memory.
    if (this.#verdict === "later" && sender.isCrowded) {
      void sender.room().then(() => this.#goOn());
      return false;
    }
    if (gate === undefined) return true;
    const { caller } = this.#owner;
    const leftMs = this.#deadline - now;
    if (this.#verdict === "later") {
      const verdict = gate.decide(caller!, this.procedure, this.criticality, leftMs, bytes, now);
      if (typeof verdict === "object") {
        this.refused(verdict);
        return false;
      }
      this.#verdict = verdict;
      if (verdict === "pass") return true;
    }
    if (this.#verdict === "wait") {
      this.#place = gate.wait(this, caller!, this.criticality, leftMs, bytes, now);
      this.host.expect(this.#place.until);
      return false;
    }
    this.#pass = gate.begin();
    this.#stamp = gate.stamp();
    return true;
  }

  /** It was run where it was read, and has done what it could do at once. */
  #ran(): void {
    if (this.#pass !== -1) this.host.settings.gate!.ran();
  }

  /** Ends the call because of what the caller sent. */
  #failRequest(error: RpcError): void {
    this.#abortWith(error);
    this.#requests?.drop(error);
    this.#end(error);
  }

  #run(message: unknown): void {
    const { respond } = this.host.settings;
    this.#handler = "running";
    this.message = message;
    let reply;
    try {
      if (respond === undefined) throw new RpcError("unimplemented", "This side answers no calls", { executed: "no" });
      reply = respond(this);
    } catch (error) {
      return this.#failed(error);
    }
    if (reply instanceof Reply) this.#answer(reply);
    else reply.then((reply) => this.#answer(reply), (error) => this.#failed(error));
  }

  #answer(reply: Reply): void {
    if (reply.messages !== undefined) void this.#sendReplies(reply, reply.messages);
    else if (this.host.sender.isCrowded && !this.settled) void this.host.sender.room().then(() => this.#answer(reply));
    else {
      this.#end(undefined, reply);
      this.#handlerEnded();
    }
  }

  async #sendReplies(reply: Reply, messages: AsyncIterable<unknown>): Promise<void> {
    let iterator: AsyncIterator<unknown> | undefined;
    try {
      iterator = messages[Symbol.asyncIterator]();
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) {
          this.#end(undefined, reply);
          break;
        }
        if (!this.settled) {
          const sent = this.#sendReply(reply, value);
          if (sent !== undefined) await sent;
        }
        if (this.settled) {
          await iterator.return?.();
          break;
        }
      }
      this.#handlerEnded();
    } catch (error) {
      this.#end(this.#toError(error), reply);
      // When it was the encoder that failed, the generator is still waiting at its yield.
      await Promise.resolve(iterator?.return?.()).catch(() => {});
      this.#handlerEnded();
    }
  }

  #sendReply(reply: Reply, value: unknown): Promise<void> | undefined {
    const encoded = this.#codec.encode(value);
    checkSize(encoded, this.host.hello.maxMessageBytes, this.procedure);
    if (!this.#headSent) this.#sendHead(reply);
    return this.host.sender.sendData(this, encoded, 0);
  }

  /** Sends the metadata that goes before the first message, if there is any. */
  #sendHead(reply: Reply): void {
    this.#headSent = true;
    const metadata = merged(this.#responseMetadata, reply.hasMetadata ? reply.metadata : undefined);
    if (metadata !== undefined) writeHead(this.host, this.id, metadata);
  }

  /** The handler, or something around it, threw. */
  #failed(thrown: unknown): void {
    this.#end(this.#toError(thrown));
    this.#handlerEnded();
  }

  #toError(thrown: unknown): RpcError {
    // An error that a nested call ended with says whether *that* ran; this one did as soon as its handler was entered.
    const executed: Executed | undefined = this.started ? "yes" : undefined;
    if (thrown instanceof RpcError) {
      return executed === undefined ? thrown : withExecuted(thrown, executed);
    }
    this.host.settings.counters.uncaughtErrors++;
    if (!this.settled) {
      this.host.settings.logger.error(`The handler of "${this.procedure}" failed`, thrown);
    }
    return new RpcError("internal", HANDLER_FAILED, { executed: executed ?? "maybe" });
  }

  /** Sends END, unless the stream is over. */
  #end(error: RpcError | undefined, reply?: Reply): void {
    if (this.settled) return;
    if (this.kind === "oneway") {
      this.#ended = true;
      return this.#settle();
    }
    try {
      this.#writeEnd(error, reply);
    } catch (failure) {
      const why = failure instanceof RpcError
        ? new RpcError(failure.code, failure.message, { executed: "yes" })
        : new RpcError("internal", `Cannot encode the reply as ${this.#codec.name}`, { executed: "yes" });
      if (!(failure instanceof RpcError)) {
        this.host.settings.logger.error(
          `Cannot encode the reply of "${this.procedure}" as ${this.#codec.name}`,
          failure,
        );
      }
      this.#trailers = this.#responseMetadata = undefined;
      this.#writeEnd(why, undefined);
    }
    this.#settle();
  }

  #writeEnd(error: RpcError | undefined, reply: Reply | undefined): void {
    const { sender } = this.host;
    const metadata = reply?.hasMetadata ? reply.metadata : undefined;
    const head = this.#headSent ? undefined : merged(this.#responseMetadata, metadata);
    const trailers = merged(this.#trailers, error?.metadata ?? (reply?.hasTrailers ? reply.trailers : undefined));
    let encoded: Uint8Array | string = "";
    if (error === undefined && reply !== undefined && reply.messages === undefined) {
      encoded = this.#codec.encode(reply.message);
      checkSize(encoded, this.host.hello.maxMessageBytes, this.procedure);
    }
    const status = statusOf(this.host, this.#terms, error, head, trailers);
    // What waits is a message that was cut short: END says so, and nothing can come between.
    sender.forget(this);
    status.load = this.#owner.loadToTell();
    this.#ended = sender.sendEnd(this, encoded, status);
  }

  /** The stream is over without END. */
  #leave(error: RpcError): void {
    this.#ended = true;
    this.host.sender.forget(this);
    this.host.forget(this);
    if (this.settled) return;
    // First of all: a handler that waits for requests must not take this for their end.
    this.#reason ??= error;
    this.#settle();
    this.#abortWith(error);
    this.#requests?.drop(error);
    if (this.#handler === "waiting") this.#handlerEnded();
  }

  #abortWith(error: RpcError): void {
    this.#reason ??= error;
    this.#abort?.abort(error);
  }

  #settle(): void {
    if (this.settled) return;
    this.settled = true;
    this.discardPieces();
    if (this.#place !== undefined) this.#leaveGate(this.#place);
    if (this.#held !== undefined) this.#dropHeld(this.#held.cost);
    if (this.#requests !== undefined && this.#reason === undefined) this.#requests.drop();
    if (this.#ended) this.host.forget(this);
    if (this.#handler === "waiting") this.#handlerEnded();
  }

  #leaveGate(place: Place<Waiter>): void {
    this.host.settings.gate!.withdraw(place);
    this.#place = undefined;
  }

  /** What it brought is paid back. */
  #dropHeld(costBytes: number): void {
    this.#held = undefined;
    this.host.intake.consumed(costBytes);
  }

  #handlerEnded(): void {
    if (this.#handler === "ended") return;
    this.#handler = "ended";
    if (this.#pass !== -1) this.host.settings.gate!.end(this.#pass, this.procedure, this.#stamp);
    this.#owner.handlerEnded();
  }

  /** The rest of a long reply is on its way. */
  onEndSent(): void {
    this.host.forget(this);
  }

  #discard(bytes: number): void {
    if (bytes === 0) return;
    this.host.intake.discard(bytes);
  }
}
