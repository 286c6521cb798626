import { Call, type Reply } from "../core/call.ts";
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
import type { RuleEvent, RuleWatchOptions } from "../routing/rule_book.ts";
import { CENTER_ENDPOINT, CenterContract } from "./contract.ts";
import { HerdPace } from "./herd_pace.ts";
import { checkSnapshotPart } from "./check_part.ts";
import { SnapshotParts } from "./parts.ts";
import { CenterRules } from "./rules.ts";

/** How long a center may take to answer. */
const TIMEOUT_MS = 5_000;
/** How long after a connection was made the center is asked again how many clients it has: all have returned by then. */
const ASK_AGAIN_MS = 10_000;
/** So much later than it ends is a pause of the channel over for sure: its timers are that coarse. */
const TIMER_MS = 10;

/**
 * A registry that asks one center. Several centers are several registries: a server registers with each of them, and a client
 * puts together what they say.
 */
export class CenterRegistry implements Registry {
  /** The center's address, by which it goes in logs and figures. */
  readonly name: string;
  readonly #channel: Channel;
  readonly #settings: Settings;
  readonly #pace: HerdPace;
  #asking: Disposable | undefined;
  #askedAt = -Infinity;

  /** Makes one that has dialled nothing yet. @throws {TypeError} when the address can't be parsed */
  constructor(endpoint: string, settings: Settings, transport: Transport) {
    parseEndpoint(endpoint);
    this.name = endpoint;
    this.#settings = settings;
    this.#pace = new HerdPace(settings.platform);
    this.#channel = new Channel([endpoint], settings, transport, this.#pace);
    let resting = false;
    this.#channel.onState = () => {
      const { state } = this.#channel;
      this.#asking?.[Symbol.dispose]();
      if (state === "ready") {
        this.#ask();
        this.#asking = settings.timers.after(ASK_AGAIN_MS, () => this.#ask());
      } else if (state === "idle" && resting) {
        // Now is its moment: whoever needs it next, at whatever moment that is, finds it connected.
        this.#channel.connect().catch(() => {});
      }
      resting = state === "failing";
    };
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    checkInstance(instance);
    const lease = await this.#call<Lease | null>("register", { instance, ttlMs: options.ttlMs }, options.signal);
    if (typeof lease?.instanceId === "string" && typeof lease.token === "string") return lease;
    throw new RpcError("internal", `Cannot use what the center answered to the registration: it is no lease`);
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
    const deadline = this.#settings.platform.clock.now() + TIMEOUT_MS;
    const sent = { message: { service } };
    const reply = await this.#invoke("lookup", "serverStream", sent, options.signal, deadline);
    const parts = new SnapshotParts<Snapshot>();
    for await (const part of reply.messages!) {
      const whole = parts.add(checkSnapshotPart(part));
      if (whole !== undefined) return whole;
    }
    throw new RpcError("unavailable", "The center ended its answer too early");
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
    const { hello } = await this.#channel.connect().catch((error) => this.#fail(error));
    if (hello.observed === "") return undefined;
    const observed = parseEndpoint(hello.observed);
    return "host" in observed ? observed.host : undefined;
  }

  async close(): Promise<void> {
    this.#asking?.[Symbol.dispose]();
    await this.#channel.close();
  }

  async #call<T>(method: string, message: unknown, signal?: AbortSignal): Promise<T> {
    const deadline = this.#settings.platform.clock.now() + TIMEOUT_MS;
    const reply = await this.#invoke(method, "unary", { message }, signal, deadline);
    return reply.message as T;
  }

  async #invoke(
    method: string,
    kind: MethodKind,
    sent: { message?: unknown; messages?: AsyncIterable<unknown> },
    signal: AbortSignal | undefined,
    deadline: number,
    contract = CenterContract.name,
  ): Promise<Reply> {
    const procedure = `${contract}/${method}`;
    const call = new Call({ procedure, kind, ...sent, signal, deadline, idempotent: kind === "unary" });
    const reply = await this.#channel.invoke(call).catch((error) => this.#fail(error));
    if (this.#settings.platform.clock.now() - this.#askedAt > ASK_AGAIN_MS) this.#ask();
    return reply;
  }

  /** Lets whoever wants to try again know when that has a chance: as soon as the center may be dialled, and not before. */
  #fail(error: unknown): never {
    const { state, pauseMs } = this.#channel;
    if (error instanceof RpcError && error.code === "unimplemented") {
      const { code, message, executed } = error;
      throw new RpcError(code, `Cannot use ${this.name} as a center: ${message}`, { executed, cause: error });
    }
    const unreached = error instanceof RpcError && (error.code === "unavailable" || error.code === "deadline_exceeded");
    if (!unreached || state !== "failing" && state !== "connecting") throw error;
    const { code, message, executed, cause } = error;
    throw new RpcError(code, message, { executed, cause, retryAfterMs: pauseMs + TIMER_MS });
  }

  /** Asks how many clients the center has, since they will all want to dial again when it is lost. */
  #ask(): void {
    this.#askedAt = this.#settings.platform.clock.now();
    this.#call<{ clients?: unknown } | null>("observe", {}).then((said) => {
      const clients = said?.clients;
      if (typeof clients === "number" && clients >= 0) this.#pace.told(clients);
    }).catch(() => {}); // the pace is that of many, then
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
  const endpoints = Array.isArray(center) ? [...new Set<string>(center)] : [center as string];
  if (endpoints.length === 0) throw new TypeError("Cannot use a center: the list of addresses is empty");
  return endpoints.map((endpoint) => new CenterRegistry(endpoint, settings, transport));
}

/** What can be looked up: a service's name, or everything. */
function checkWatched(service: string): void {
  if (service !== "*") checkServiceName(service);
}
