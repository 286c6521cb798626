import { RpcError } from "../core/error.ts";
import type { Cursor, WatchEvent, WatchOptions } from "../registry/registry.ts";
import type { WatchRequest } from "./contract.ts";
import { checkWatchPart } from "./check_part.ts";
import { SnapshotParts } from "./parts.ts";

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Begins the stream of a watch; its signal ends it. */
export type OpenWatch = (
  requests: AsyncIterable<WatchRequest>,
  signal: AbortSignal,
) => AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>;

/**
 * A watch of a center's registry. Asking for the next event acknowledges the one before; leaving it, or its signal, ends the
 * stream behind it at once, also while it waits.
 */
export class CenterWatch implements AsyncIterableIterator<WatchEvent> {
  readonly #open: OpenWatch;
  readonly #requests: Requests;
  readonly #service: string;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #events: Promise<AsyncIterator<unknown>> | undefined;
  readonly #parts = new SnapshotParts<WatchEvent & { readonly kind: "snapshot" }>();
  #told: Cursor | undefined;

  /** Makes a watch, which costs nothing until its first `next`. */
  constructor(service: string, { after, signal }: WatchOptions, open: OpenWatch) {
    this.#service = service;
    this.#open = open;
    this.#requests = new Requests(after === undefined ? { service } : { service, after });
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async next(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#signal.aborted) return DONE;
    try {
      this.#events ??= this.#begin();
      const events = await this.#events;
      if (this.#told !== undefined) this.#requests.push({ acknowledged: this.#told });
      this.#told = undefined;
      for (let result; !(result = await events.next()).done;) {
        const part = checkWatchPart(result.value);
        const value = part.kind === "snapshot" ? this.#parts.add(part) : part;
        if (value === undefined) continue;
        this.#told = { epoch: value.epoch, revision: value.revision };
        return { done: false, value };
      }
    } catch (error) {
      if (this.#signal.aborted) return DONE;
      this.#stop.abort();
      throw error;
    }
    if (this.#signal.aborted) return DONE;
    this.#stop.abort();
    throw new RpcError("unavailable", `The center ended the watch of "${this.#service}"`);
  }

  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.#stop.abort();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #begin(): Promise<AsyncIterator<unknown>> {
    return (await this.#open(this.#requests, this.#signal))[Symbol.asyncIterator]();
  }
}

/** What goes to the center, one after another. At most one waits: an acknowledgement follows an event, which follows the last. */
class Requests implements AsyncIterableIterator<WatchRequest> {
  #waiting: WatchRequest | undefined;
  #wake: ((result: IteratorResult<WatchRequest>) => void) | undefined;

  constructor(first: WatchRequest) {
    this.#waiting = first;
  }

  push(request: WatchRequest): void {
    if (this.#wake === undefined) this.#waiting = request;
    else this.#wake({ done: false, value: request });
    this.#wake = undefined;
  }

  next(): Promise<IteratorResult<WatchRequest>> {
    const value = this.#waiting;
    this.#waiting = undefined;
    return value === undefined ? new Promise((wake) => this.#wake = wake) : Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<WatchRequest>> {
    this.#wake?.(DONE);
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
