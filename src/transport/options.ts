import type { Clock } from "../core/platform.ts";
import type { TlsClientOptions, TlsServerOptions } from "./tls_options.ts";

/** How an endpoint is dialled. What its scheme has no use for is passed over. */
export interface ConnectOptions {
  /** Gives up. */
  readonly signal?: AbortSignal;
  /** Whom to trust and what to show on `tls://` endpoints. Default: trust whom the runtime trusts, show nothing. */
  readonly tls?: TlsClientOptions;
  /**
   * Says of each address that a `tcp://` or `tls://` host stands for whether it may be dialled; what its name stands for then is
   * dialled, and not asked for again. Default: all may.
   */
  readonly mayDial?: (address: string) => boolean;
}

/** How an endpoint is listened on. What its scheme has no use for is passed over. */
export interface ListenOptions {
  /** Certificate and key for `tls://` endpoints, which can't be listened on without. */
  readonly tls?: TlsServerOptions;
  /** How long a TLS handshake may take, from the first byte of TCP, in milliseconds. Default 5 000. */
  readonly handshakeMs?: number;
  /**
   * The most connections that shake hands or wait to be accepted; beyond it the one that shakes hands for the longest time
   * is dropped. Default 256.
   */
  readonly maxHandshakes?: number;
  /** What handshakes are timed with. Default: the runtime's clock. */
  readonly clock?: Clock;
  /**
   * What a client is sent that is not let in because of its certificate, on the encrypted connection that ends after it:
   * the runtime sends no alert that would tell why. Default: nothing.
   */
  readonly refusal?: (why: string) => Uint8Array;
  /** Told of each connection that was dropped before it could be accepted. */
  readonly onFailure?: (why: string) => void;
}
