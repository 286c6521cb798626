import type { TlsServerOptions } from "./tls_options.ts";

/**
 * A client certificate that counts: an authority that the server trusts issued it, it is valid now, and the other side has
 * shown that it holds its key. Decide by names or fingerprint who that is; the texts are for people.
 */
export interface PeerCertificate {
  /** Whom it was issued to, such as `CN=worker 7,O=Example` (RFC 4514). */
  readonly subject: string;
  /** Who issued it. */
  readonly issuer: string;
  /** Its host names. */
  readonly dnsNames: readonly string[];
  /** Its URIs, such as `spiffe://example.org/worker`. */
  readonly uris: readonly string[];
  /** Its mail addresses. */
  readonly emails: readonly string[];
  /** Its IP addresses. */
  readonly ipAddresses: readonly string[];
  /** Its number, unique for its issuer, in hexadecimal digits. */
  readonly serialNumber: string;
  /** Its SHA-256: 32 pairs of upper-case hexadecimal digits with colons between. */
  readonly fingerprint: string;
}

/** A connection that carries bytes: what a `Deno.Conn` is, as far as the kit uses it. */
export interface ByteConnection {
  /** Where the other side is, as an endpoint URL. */
  readonly remote: string;
  /** Where this side is, as an endpoint URL. */
  readonly local: string;
  /** The certificate that the other side showed, on connections that a listener took which asks for one. */
  readonly peerCertificate?: PeerCertificate;
  /** When it began, on the listener's clock, if time was spent on it before it was accepted. */
  readonly begunAt?: number;
  /** Reads what has come into `target`: how many bytes, or `null` at the end. */
  read(target: Uint8Array): Promise<number | null>;
  /** Writes some of `source`: how many bytes. One caller at a time. */
  write(source: Uint8Array): Promise<number>;
  /** Says that no more will be written. */
  closeWrite(): Promise<void>;
  /** Ends reads and writes that are under way. Harmless the second time. */
  close(): void;
}

/** Takes connections. */
export interface ByteListener {
  /** Where others can dial it, as an endpoint URL; the port is the real one. */
  readonly endpoint: string;
  /** Waits for the next connection. Rejects once it is closed. */
  accept(): Promise<ByteConnection>;
  /**
   * Shows another certificate to those who connect from now on; connections that are open live on. Only where there are
   * certificates. Whether clients are asked for one can't be changed.
   * @throws {TypeError} when it can't be used; then the one before stays
   */
  replaceCertificate?(tls: TlsServerOptions): void;
  /** Takes no more. Harmless the second time. */
  close(): void;
}
