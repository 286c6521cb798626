import { withDefaults } from "../core/options.ts";

/**
 * What a server shows on `tls://` endpoints, and what it asks of those who dial them. Texts in PEM form, not paths of files.
 * Versions before TLS 1.2 are never spoken.
 */
export interface TlsServerOptions {
  /** The server's certificate, and after it those that lead from it to the authority's. */
  readonly cert: string;
  /** The private key of the certificate. */
  readonly key: string;
  /** The authorities whose client certificates are trusted; nobody else's are. Default: no client is asked for one. */
  readonly clientCa?: string;
  /** Whether a client without a certificate is refused. Default: `true` when there is `clientCa`. */
  readonly requireClientCert?: boolean;
}

/** How `tls://` endpoints are dialled. Texts in PEM form, not paths of files. */
export interface TlsClientOptions {
  /** The authorities whose servers are trusted; nobody else's are. Default: those that the runtime trusts. */
  readonly ca?: readonly string[];
  /** The certificate to show to servers that ask for one. It goes together with `key`. */
  readonly cert?: string;
  /** The private key of the certificate. */
  readonly key?: string;
  /**
   * The name, or the IP address, that the server's certificate must have. Default: the endpoint's host. For servers that
   * are dialled by addresses which their certificates do not name.
   */
  readonly serverName?: string;
}

/** Server options with every question answered. */
export type CheckedTlsServerOptions = TlsServerOptions & { readonly requireClientCert: boolean };

const SERVER_OPTIONS: TlsServerOptions = { cert: "", key: "", clientCa: undefined, requireClientCert: undefined };
const CLIENT_OPTIONS: TlsClientOptions = { ca: undefined, cert: undefined, key: undefined, serverName: undefined };
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;

/** Checks the shape of server options; whether certificate and key fit is checked where they are read. @throws {TypeError} */
export function checkTlsServerOptions(given: TlsServerOptions | undefined): CheckedTlsServerOptions {
  if (given === undefined) throw new TypeError('Cannot listen on "tls://…": option "tls" with cert and key is missing');
  const tls = withDefaults(SERVER_OPTIONS, given);
  checkPem("tls.cert", tls.cert, CERTIFICATE);
  checkPem("tls.key", tls.key, PRIVATE_KEY);
  if (tls.clientCa !== undefined) checkPem("tls.clientCa", tls.clientCa, CERTIFICATE);
  const requireClientCert = tls.requireClientCert ?? tls.clientCa !== undefined;
  if (typeof requireClientCert !== "boolean") {
    throw new TypeError(`Cannot use tls.requireClientCert ${JSON.stringify(requireClientCert)}: it is true or false`);
  }
  if (requireClientCert && tls.clientCa === undefined) {
    throw new TypeError("Cannot use tls.requireClientCert without tls.clientCa, which says whose certificates count");
  }
  return { ...tls, requireClientCert };
}

/** Checks the shape of client options. @throws {TypeError} */
export function checkTlsClientOptions(given: TlsClientOptions | undefined): TlsClientOptions {
  const tls = withDefaults(CLIENT_OPTIONS, given);
  if (tls.ca !== undefined) {
    if (!Array.isArray(tls.ca)) throw new TypeError("Cannot use tls.ca: it is a list of certificates in PEM form");
    for (const ca of tls.ca) checkPem("tls.ca", ca, CERTIFICATE);
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new TypeError("Cannot use one of tls.cert and tls.key without the other");
  }
  if (tls.cert !== undefined) checkPem("tls.cert", tls.cert, CERTIFICATE);
  if (tls.key !== undefined) checkPem("tls.key", tls.key, PRIVATE_KEY);
  if (tls.serverName !== undefined && !/^[\w.:-]{1,253}$/.test(tls.serverName)) {
    throw new TypeError(
      `Cannot use tls.serverName ${JSON.stringify(tls.serverName)}: it is a host name or an IP address`,
    );
  }
  return tls;
}

/** Never quotes what it was given: that may be a private key. */
function checkPem(name: string, text: unknown, pattern: RegExp): void {
  if (typeof text !== "string") throw new TypeError(`Cannot use ${name}: it is a text in PEM form`);
  if (pattern.test(text)) return;
  const what = pattern === PRIVATE_KEY ? "an unencrypted private key" : "a certificate";
  throw new TypeError(`Cannot use ${name}: there is not ${what} in PEM form in it; give the text, not a path`);
}
