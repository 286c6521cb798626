/**
 * How much the peer may send, on one stream or one connection, before something is consumed (PROTOCOL §7).
 *
 * What was granted follows from what was consumed: at any time the peer may have sent the window beyond that, and beside
 * it the part of a message that is not complete, since nobody can consume half a message.
 */
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";

/** A reader is fast that reads half a window in less time, in milliseconds. */
const FAST_MS = 100;

/** The receiver's side of credit. Pure. */
export class ReceiveWindow {
  /** Bytes of messages that are not complete. */
  assemblingBytes = 0;
  readonly #maxBytes: number;
  readonly #stepBytes: number;
  #sizeBytes: number;
  #grantedBytes: number;
  #receivedBytes = 0;
  #readAt = -Infinity;
  #consumedBytes = 0;

  /** Makes a window whose first grant was in the HELLO. Up to `maxBytes` it becomes larger for a fast reader. */
  constructor(sizeBytes: number, maxBytes: number = sizeBytes) {
    this.#maxBytes = maxBytes;
    this.#sizeBytes = this.#stepBytes = sizeBytes;
    this.#grantedBytes = sizeBytes;
  }

  /** Bytes that have come and were not consumed. */
  get heldBytes(): number {
    return this.#receivedBytes - this.#consumedBytes;
  }

  /** Takes note of bytes that came. @throws {ProtocolViolation} when there was no credit for them */
  receive(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes > this.#grantedBytes) {
      throw new ProtocolViolation(
        GoAwayCode.flowControl,
        `Cannot take ${bytes} bytes: they are ${
          this.#receivedBytes - this.#grantedBytes
        } more than there was credit for`,
      );
    }
  }

  /** Takes note of bytes that were consumed, or thrown away. */
  consume(bytes: number): void {
    this.#consumedBytes += bytes;
  }

  /** How many bytes the peer may still send. */
  get leftBytes(): number {
    return this.#grantedBytes - this.#receivedBytes;
  }

  /** How large it is. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Makes it larger, so that more may be held. */
  grow(bytes: number): void {
    this.#sizeBytes += bytes;
  }

  /** The same as `due`, at `now`: its reader may turn out to be fast and to keep up, so that only the window keeps it waiting. */
  dueAt(now: number): number {
    const due = this.due();
    if (due === 0) return 0;
    const fast = now - this.#readAt < FAST_MS && this.heldBytes * 4 <= this.#sizeBytes;
    this.#readAt = now;
    const growth = fast ? Math.min(this.#sizeBytes, this.#maxBytes - this.#sizeBytes) : 0;
    if (growth <= 0) return due;
    this.grow(growth);
    this.#grantedBytes += growth;
    return due + growth;
  }

  /** The credit to give now; 0 while it is less than half the window as it was at first. */
  due(): number {
    const grant = this.#consumedBytes + this.assemblingBytes + this.#sizeBytes - this.#grantedBytes;
    if (grant * 2 < this.#stepBytes) return 0;
    this.#grantedBytes += grant;
    return grant;
  }
}
