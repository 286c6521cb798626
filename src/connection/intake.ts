/**
 * What all streams of one connection have received and not consumed.
 *
 * Unfinished messages do not count against the connection's window, or two of them could wait for each other for ever.
 * Beyond a limit only the oldest may grow, so that one of them can always be finished.
 */
import { ReceiveWindow } from "./receive_window.ts";
import type { Stream } from "./stream.ts";

/** The receiving side of a connection's credit. */
export class Intake {
  readonly #window: ReceiveWindow;
  readonly #windowBytes: number;
  readonly #maxHeldBytes: number;
  readonly #maxAssemblyBytes: number;
  readonly #give: (bytes: number) => void;
  /** What each unfinished message holds, the oldest first. */
  #assembling: Map<Stream, number> | undefined;

  /** @param give gives the peer credit on the connection */
  constructor(windowBytes: number, maxAssemblyBytes: number, give: (bytes: number) => void) {
    this.#windowBytes = windowBytes;
    this.#maxHeldBytes = Math.max(windowBytes, maxAssemblyBytes);
    this.#window = new ReceiveWindow(windowBytes);
    this.#maxAssemblyBytes = maxAssemblyBytes;
    this.#give = give;
  }

  /** Message bytes came. @throws {ProtocolViolation} when there was no credit for them */
  received(costBytes: number): void {
    const window = this.#window;
    window.receive(costBytes);
    // What readers that do not read hold must not keep everybody else waiting: the window grows around it.
    if (window.leftBytes * 2 < this.#windowBytes && window.heldBytes * 2 > this.#windowBytes) {
      if (window.sizeBytes + this.#windowBytes <= this.#maxHeldBytes) {
        window.grow(this.#windowBytes);
        this.consumed(0);
      }
    }
  }

  /** Message bytes were consumed, or thrown away. */
  consumed(costBytes: number): void {
    this.#window.consume(costBytes);
    const due = this.#window.due();
    if (due > 0) this.#give(due);
  }

  /** Message bytes came that nobody waits for. */
  discard(costBytes: number): void {
    this.received(costBytes);
    this.consumed(costBytes);
  }

  /** A piece of a message was put aside. */
  assembling(stream: Stream, costBytes: number): void {
    this.#window.assemblingBytes += costBytes;
    this.#assembling ??= new Map();
    this.#assembling.set(stream, (this.#assembling.get(stream) ?? 0) + costBytes);
    this.consumed(0);
  }

  /** A message is complete, or given up. */
  assembled(stream: Stream): void {
    this.#window.assemblingBytes -= this.#assembling?.get(stream) ?? 0;
    this.#assembling?.delete(stream);
    this.#oldest?.goOnAssembling();
  }

  /** Whether a stream may go on assembling beyond its window. */
  mayAssemble(stream: Stream): boolean {
    return this.#window.assemblingBytes <= this.#maxAssemblyBytes || this.#oldest === stream;
  }

  get #oldest(): Stream | undefined {
    return this.#assembling?.keys().next().value;
  }
}
