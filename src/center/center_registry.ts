import { Call, type Invoker, type Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import { checkServiceName, type MethodKind } from "../core/service.ts";
import { Channel } from "../channel/channel.ts";
import type { Settings } from "../connection/settings.ts";
import { parseEndpoint } from "../transport/endpoint.ts";
import type { Transport } from "../transport/transport.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";
import type {
  Lease,
  RegisterOptions,
  Registry,
  RemovalCause,
  RenewOptions,
  RenewResult,
  Snapshot,
  WatchEvent,
  WatchOptions,
} from "../registry/registry.ts";
import { CenterWatch } from "./center_watch.ts";
import { CenterContract } from "./contract.ts";

/** How long a center may take to answer. */
const TIMEOUT_MS = 5_000;

/** A registry that asks a center. With several addresses it takes the first that answers, and stays with it. */
export class CenterRegistry implements Registry {
  readonly #channels: readonly Channel[];
  readonly #settings: Settings;
  #current = 0;

  /** @throws {TypeError} when an address can't be parsed */
  constructor(endpoints: readonly string[], settings: Settings, transport: Transport) {
    if (endpoints.length === 0) throw new TypeError("Cannot use a center: no address was given");
    for (const endpoint of endpoints) parseEndpoint(endpoint);
    this.#settings = settings;
    this.#channels = endpoints.map((endpoint) => new Channel(endpoint, settings, transport));
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    checkInstance(instance);
    return await this.#call("register", { instance, ttlMs: options.ttlMs }, options.signal);
  }

  async renew(lease: Lease, options: RenewOptions = {}): Promise<RenewResult> {
    const { load, signal } = options;
    const { result } = await this.#call<{ result: RenewResult }>("renew", { lease, load }, signal);
    return result;
  }

  async deregister(lease: Lease, cause?: RemovalCause): Promise<void> {
    await this.#call("deregister", { lease, cause });
  }

  async lookup(service: string, options: { signal?: AbortSignal } = {}): Promise<Snapshot> {
    checkWatched(service);
    return await this.#call("lookup", { service }, options.signal);
  }

  watch(service: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    return new CenterWatch(service, options, async (messages, signal) => {
      checkWatched(service);
      return (await this.#invoke("watch", "bidi", { messages }, signal, Infinity)).messages!;
    });
  }

  async settled(lease: Lease, options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#invoke("settled", "unary", { message: { lease } }, options.signal, Infinity);
  }

  async observedHost(): Promise<string | undefined> {
    const { endpoint } = await this.#call<{ endpoint: string }>("observe", {});
    const parsed = parseEndpoint(endpoint);
    return "host" in parsed ? parsed.host : undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#channels.map((channel) => channel.close()));
  }

  async #call<T>(method: string, message: unknown, signal?: AbortSignal): Promise<T> {
    const deadline = this.#settings.platform.clock.now() + TIMEOUT_MS;
    const reply = await this.#invoke(method, "unary", { message }, signal, deadline);
    return reply.message as T;
  }

  /** Goes round the addresses until one answers. */
  async #invoke(
    method: string,
    kind: MethodKind,
    sent: { message?: unknown; messages?: AsyncIterable<unknown> },
    signal: AbortSignal | undefined,
    deadline: number,
  ): Promise<Reply> {
    const procedure = `${CenterContract.name}/${method}`;
    const call = new Call({ procedure, kind, ...sent, signal, deadline, idempotent: kind === "unary" });
    let failure: unknown;
    for (let tried = 0; tried < this.#channels.length; tried++) {
      const invoke: Invoker = this.#channels[this.#current].invoke;
      try {
        return await invoke(call);
      } catch (error) {
        failure = error;
        if (!(error instanceof RpcError) || error.code !== "unavailable") throw error;
        this.#current = (this.#current + 1) % this.#channels.length;
      }
    }
    throw failure;
  }
}

/** What can be looked up: a service's name, or everything. */
function checkWatched(service: string): void {
  if (service !== "*") checkServiceName(service);
}
