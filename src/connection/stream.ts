/**
 * What both ends of a call share: credit, and putting messages together.
 *
 * Invariants: a stream is settled once; after that nothing is delivered and nothing is sent; what still arrives for it is
 * paid back to the connection at once.
 */
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";
import type { Due } from "./deadlines.ts";
import { ReceiveWindow } from "./receive_window.ts";
import type { Sender, SendingStream, Waiting } from "./sender.ts";
import type { Settings } from "./settings.ts";
import type { Hello } from "../protocol/hello.ts";
import type { Intake } from "./intake.ts";
import type { Outbox } from "./outbox.ts";
import type { Codec } from "../core/codec.ts";
import type { Code } from "../core/code.ts";

/** So much larger than at first the window of a stream may become: what a stream holds is bounded by twice what was announced. */
export const MAX_GROWTH = 2;

/** What a stream needs of its connection. */
export interface StreamHost {
  /** What all connections of the owner share. */
  readonly settings: Settings;
  /** What the other side said of itself. */
  readonly hello: Hello;
  /** Where frames leave. */
  readonly outbox: Outbox;
  /** Who may send. */
  readonly sender: Sender;
  /** When the last bytes came, on the platform's clock. */
  readonly heardAt: number;
  /** What all streams have received. */
  readonly intake: Intake;
  /** Gives the peer credit on a stream. */
  giveCredit(stream: Stream, bytes: number): void;
  /** Tells the peer that a stream is over. */
  reset(stream: Stream, code: Code | undefined): void;
  /** Takes a settled stream out of the table. */
  forget(stream: Stream): void;
  /** A stream is due then. */
  expect(dueAt: number): void;
}

/** One end of a call. */
export abstract class Stream implements SendingStream, Due {
  /** Its number on the wire; 0 before it has one. */
  id = 0;
  /** How many bytes the peer lets it send. */
  creditBytes: number;
  /** What it has waiting to be sent. */
  waiting: Waiting | undefined = undefined;
  /** Whether it is over. */
  settled = false;
  /** What the last complete message cost. */
  protected messageCost = 0;
  protected readonly host: StreamHost;
  #window: ReceiveWindow | undefined;
  #part: { readonly pieces: Uint8Array[]; size: number; cost: number } | undefined = undefined;

  constructor(host: StreamHost) {
    this.host = host;
    this.creditBytes = host.hello.streamWindowBytes;
  }

  /** When its deadline passes; `Infinity` once it is settled. */
  abstract get dueAt(): number;

  /** Its deadline has passed. */
  abstract onDue(): void;

  /** The connection is gone: settles the stream. All streams of a connection are given the same cause. */
  abstract onLost(reason: string, cause: Error | undefined): void;

  /** Nothing was sent for too long. */
  abstract onStalled(): void;

  /**
   * Takes a piece of a message. Gives the message once it is complete: put together, or
   * `"inPlace"` when it stands whole where the piece is. A message over the limit
   * gives `"tooLarge"` once, as soon as that is certain.
   * @throws {ProtocolViolation} when there was no credit for it
   */
  protected takePiece(
    bytes: Uint8Array,
    at: number,
    end: number,
    costBytes: number,
    more: boolean,
  ): Uint8Array | "tooLarge" | "inPlace" | undefined {
    this.host.intake.received(costBytes);
    if (!more && this.#part === undefined && this.#window === undefined) {
      if (costBytes > this.host.settings.limits.streamWindowBytes) {
        throw new ProtocolViolation(
          GoAwayCode.flowControl,
          `Cannot take ${costBytes} bytes on stream ${this.id}: no credit`,
        );
      }
    } else this.#ownWindow.receive(costBytes);
    const max = this.host.settings.limits.maxMessageBytes;
    if (!more && (this.#part === undefined || this.#part.size === 0)) {
      // Also behind an OPEN that had room for nothing of it.
      this.messageCost = (this.#part?.cost ?? 0) + costBytes;
      this.dropPieces();
      return end - at > max ? "tooLarge" : "inPlace";
    }
    const part = this.#part ??= { pieces: [], size: 0, cost: 0 };
    part.size += end - at;
    if (part.size > max) {
      this.messageCost = costBytes;
      return "tooLarge";
    }
    part.pieces.push(bytes.slice(at, end));
    part.cost += costBytes;
    this.host.intake.assembling(this, costBytes);
    if (more) {
      this.#assembled(costBytes);
      return undefined;
    }
    const whole = join(part.pieces, part.size);
    this.messageCost = part.cost;
    this.dropPieces();
    return whole;
  }

  /** Decodes what `takePiece` gave; `bytes`, `at` and `end` are what it was given. */
  protected decoded(
    codec: Codec,
    message: Uint8Array | "inPlace",
    bytes: Uint8Array,
    at: number,
    end: number,
  ): unknown {
    if (message !== "inPlace") return codec.decode(message);
    return codec.decodeAt === undefined ? codec.decode(bytes.subarray(at, end)) : codec.decodeAt(bytes, at, end);
  }

  /** Gives back what a message cost, on the stream and on the connection. */
  protected consumed(costBytes: number): void {
    this.host.intake.consumed(costBytes);
    if (this.settled) return;
    const window = this.#ownWindow;
    window.consume(costBytes);
    const due = window.dueAt(this.host.heardAt);
    if (due > 0) this.host.giveCredit(this, due);
  }

  /** Gives the credit that was held back while others were assembling. */
  goOnAssembling(): void {
    const due = this.#window?.due() ?? 0;
    if (due > 0) this.host.giveCredit(this, due);
  }

  /** Takes the stream's unfinished message out of the account. */
  protected dropPieces(): void {
    if (this.#part === undefined) return;
    if (this.#window !== undefined) this.#window.assemblingBytes = 0;
    this.host.intake.assembled(this);
    this.#part = undefined;
  }

  /** Throws an unfinished message away. */
  protected discardPieces(): void {
    const cost = this.#part?.cost ?? 0;
    this.dropPieces();
    if (cost > 0) this.host.intake.consumed(cost);
  }

  /** What an unfinished message holds does not count against the window, or it could never be finished. */
  #assembled(costBytes: number): void {
    const window = this.#ownWindow;
    window.assemblingBytes += costBytes;
    if (!this.host.intake.mayAssemble(this)) return;
    const due = window.due();
    if (due > 0) this.host.giveCredit(this, due);
  }

  /** Keeps account of what comes from now on: needed as soon as more than one message may. */
  protected openWindow(): void {
    void this.#ownWindow;
  }

  get #ownWindow(): ReceiveWindow {
    return this.#window ??= this.#makeWindow();
  }

  #makeWindow(): ReceiveWindow {
    const { streamWindowBytes, connectionWindowBytes } = this.host.settings.limits;
    return new ReceiveWindow(streamWindowBytes, Math.min(MAX_GROWTH * streamWindowBytes, connectionWindowBytes));
  }
}

function join(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
