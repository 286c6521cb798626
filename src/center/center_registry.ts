import { Call, type Reply } from "../core/call.ts";
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
import { RpcError } from "../core/error.ts";
import type { RuleEvent, RuleWatchOptions } from "../routing/rule_book.ts";
import { CENTER_ENDPOINT, CenterContract } from "./contract.ts";
import { CenterRules } from "./rules.ts";

/** How long a center may take to answer. */
const TIMEOUT_MS = 5_000;

/**
 * A registry that asks one center. Several centers are several registries: a server registers with each of them, and a client
 * puts together what they say.
 */
export class CenterRegistry implements Registry {
  /** The center's address, by which it goes in logs and figures. */
  readonly name: string;
  readonly #channel: Channel;
  readonly #settings: Settings;

  /** Makes one that has dialled nothing yet. @throws {TypeError} when the address can't be parsed */
  constructor(endpoint: string, settings: Settings, transport: Transport) {
    parseEndpoint(endpoint);
    this.name = endpoint;
    this.#settings = settings;
    this.#channel = new Channel(endpoint, settings, transport);
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

  /** Follows the routing rules of all services. Ends with an error when the center is lost. */
  async *watchRules({ after, signal }: RuleWatchOptions = {}): AsyncGenerator<RuleEvent, void> {
    const sent = { message: { after } };
    const reply = await this.#invoke("watch", "serverStream", sent, signal, Infinity, CenterRules.name);
    yield* reply.messages as AsyncIterable<RuleEvent>;
    throw new RpcError("unavailable", "The center ended the watch of its routing rules");
  }

  async observedHost(): Promise<string | undefined> {
    const { endpoint } = await this.#call<{ endpoint: string }>("observe", {});
    const parsed = parseEndpoint(endpoint);
    return "host" in parsed ? parsed.host : undefined;
  }

  async close(): Promise<void> {
    await this.#channel.close();
  }

  async #call<T>(method: string, message: unknown, signal?: AbortSignal): Promise<T> {
    const deadline = this.#settings.platform.clock.now() + TIMEOUT_MS;
    const reply = await this.#invoke(method, "unary", { message }, signal, deadline);
    return reply.message as T;
  }

  #invoke(
    method: string,
    kind: MethodKind,
    sent: { message?: unknown; messages?: AsyncIterable<unknown> },
    signal: AbortSignal | undefined,
    deadline: number,
    contract = CenterContract.name,
  ): Promise<Reply> {
    const procedure = `${contract}/${method}`;
    return this.#channel.invoke(
      new Call({ procedure, kind, ...sent, signal, deadline, idempotent: kind === "unary" }),
    );
  }
}

/**
 * One registry for each center.
 * @param center the address of a center, or several of them; default {@link CENTER_ENDPOINT}
 * @throws {TypeError} when there is none, or one can't be parsed
 */
export function centerRegistries(
  center: string | readonly string[] = CENTER_ENDPOINT,
  settings: Settings,
  transport: Transport,
): CenterRegistry[] {
  const endpoints = typeof center === "string" ? [center] : [...new Set(center)];
  if (endpoints.length === 0) throw new TypeError("Cannot use a center: the list of addresses is empty");
  return endpoints.map((endpoint) => new CenterRegistry(endpoint, settings, transport));
}

/** What can be looked up: a service's name, or everything. */
function checkWatched(service: string): void {
  if (service !== "*") checkServiceName(service);
}
