import type { Context, Interceptor } from "../core/call.ts";
import type { Codec } from "../core/codec.ts";
import type { Criticality } from "../core/criticality.ts";
import type { Limits } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { Metadata, MetadataInit } from "../core/metadata.ts";
import type { OptionNames } from "../core/options.ts";
import type { Platform } from "../core/platform.ts";
import type { TextStore } from "../core/store.ts";
import type { Balancer } from "../balancer/balancer.ts";
import type { BreakerOptions } from "../interceptor/breaker.ts";
import type { EjectionOptions } from "../cluster/ejector.ts";
import type { Fallback } from "../interceptor/fallback.ts";
import type { HedgeOptions } from "../interceptor/hedge.ts";
import type { RetryOptions } from "../interceptor/retry.ts";
import type { Registry } from "../registry/registry.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { Transport } from "../transport/transport.ts";

/** How a client is made. One of `center`, `endpoints` and `registry` says where services are found. */
export interface ClientOptions {
  /** The address of a center, or several of them. Default, when nothing else says where: `tcp://127.0.0.1:7700`. */
  center?: string | readonly string[];
  /**
   * Where to keep what the centers list, so that a start at which none can be reached begins with what an earlier process knew:
   * `"file"` for a folder of this user's caches, any other text for a folder of that path, or a store of your own. It is read when
   * a center can't be reached, or has not answered within a second; what can't be used of it is passed over with a warning.
   * Several processes may share a folder. Routing rules are not kept. Default: nowhere.
   */
  cache?: string | TextStore;
  /** Endpoints that are called directly, without a registry. */
  endpoints?: readonly string[];
  /** A registry of your own. It is not closed with the client. */
  registry?: Registry;
  /** Who is called next. Default: `roundRobin()`. */
  balancer?: Balancer;
  /** When instances that fail calls which others do not are left out for a while; `false` for never. */
  ejection?: EjectionOptions | false;
  /**
   * Whether to connect with instances as soon as they are known, from `client.service(contract)` on, rather than with the first
   * call that each gets; one that is being dialled gets no calls while others are connected. With many instances that is many
   * connections, whatever the balancer. Default `false`.
   */
  warmUp?: boolean;
  /** How messages are encoded. Default: `json()`. */
  codec?: Codec;
  /** How long a call with one reply may take, in milliseconds. Default 10 000. */
  timeoutMs?: number;
  /** Wrapped around every call, outside of `breaker`, `hedge` and `retry` in this order; the first is outermost. */
  interceptors?: readonly Interceptor[];
  /** When calls are tried again; `false` for never. */
  retry?: RetryOptions | false;
  /** How much calls matter where neither the call, nor its method, nor its `parent` says. Default `default`. */
  criticality?: Criticality;
  /**
   * When idempotent calls are sent once more before they have been answered: `{}` for after the 95th percentile of replies.
   * Default: never.
   */
  hedge?: HedgeOptions;
  /** When calls are refused at once because nothing good has come of those before them: `{}` for the defaults. Default: never. */
  breaker?: BreakerOptions;
  /** What is answered when calls have failed in the end; each is made with `fallback()`, for one contract. Default: nothing. */
  fallbacks?: readonly Fallback[];
  /** What a peer may cost. */
  limits?: Partial<Limits>;
  /**
   * Whether frames carry a checksum (CRC-32C), so that what the network changed ends its connection and never reaches another
   * call. For networks that change bytes and for those who can't use TLS, which has its own. Default `false`.
   */
  checksums?: boolean;
  /** How servers and centers at `tls://` endpoints are dialled. */
  tls?: TlsClientOptions;
  /** What proves to servers and centers who this is: at most 8 192 characters. */
  token?: string;
  /** Where it stands: a path from the large to the small, such as `eu-west/a`, of at most 100 characters. */
  zone?: string;
  /** The instance id that servers see. Default: none. */
  id?: string;
  /** Where things are reported. Default: nowhere. */
  logger?: Logger;
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** Where to dial. Default: the system's sockets. */
  transport?: Transport;
}

/** What a client can be told. */
export const CLIENT_OPTIONS: OptionNames<ClientOptions> = Object.freeze({
  center: true,
  cache: true,
  endpoints: true,
  registry: true,
  balancer: true,
  ejection: true,
  warmUp: true,
  codec: true,
  timeoutMs: true,
  interceptors: true,
  retry: true,
  criticality: true,
  hedge: true,
  breaker: true,
  fallbacks: true,
  limits: true,
  checksums: true,
  tls: true,
  token: true,
  zone: true,
  id: true,
  logger: true,
  platform: true,
  transport: true,
});

/** How one call is made. */
export interface CallOptions {
  /** How long it may take, everything included, in milliseconds; zero and less fail at once. */
  timeoutMs?: number;
  /** Cancels it. */
  signal?: AbortSignal;
  /** What goes with the request. */
  metadata?: MetadataInit;
  /** Told what came before the first reply message. */
  onMetadata?: (metadata: Metadata) => void;
  /** Told what came after the last reply message, on success and on failure. */
  onTrailers?: (trailers: Metadata) => void;
  /** What consistent hashing goes by, and routing rules that give shares: a text of at most 20 000 characters. */
  hashKey?: string;
  /** How its messages are encoded. */
  codec?: Codec;
  /** Whether it may be sent more than once: by retries and by hedges. Default `true`. */
  retry?: boolean;
  /** Waits for an instance rather than failing when there is none. Default `false`. */
  waitForReady?: boolean;
  /**
   * How much it matters to a server that can't take all calls. Default: what its method and its `parent` say, where
   * `sheddable` goes before `critical`.
   */
  criticality?: Criticality;
  /**
   * The call on whose behalf this one is made: its deadline and its cancellation hold here too, its trace and its criticality
   * go on, and so does the count of calls that led here. It is always said: to find it through the async context by
   * itself would cost every call of every server two fifths more processor time.
   */
  parent?: Context;
}
