import type { TLSSocket } from "node:tls";
import { runtimePlatform } from "../core/platform.ts";
import type { ByteConnection } from "./byte_connection.ts";
import { checkAuthorities, checkPair, isFor, isIp, readNames, whatIsWrong } from "./certificate.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import type { ConnectOptions } from "./options.ts";
import { TlsConnection } from "./tls_connection.ts";
import { asTlsError, TlsError } from "./tls_error.ts";
import { checkTlsClientOptions } from "./tls_options.ts";

type TlsEndpoint = Extract<Endpoint, { host: string }>;

/**
 * Dials over TLS. With `node:tls`, because the runtime's own connections send small frames late (Nagle's algorithm can't be
 * switched off on them), and take no name beside the address where there is a client certificate.
 *
 * @throws {TlsError} when the two sides do not come to trust each other
 */
export async function connectTls(endpoint: TlsEndpoint, options: ConnectOptions): Promise<ByteConnection> {
  const { ca, cert, key, serverName = endpoint.host } = checkTlsClientOptions(options.tls);
  const [net, { connect }, crypto] = await Promise.all([import("node:net"), import("node:tls"), import("node:crypto")]);
  if (cert !== undefined && key !== undefined) checkPair(crypto, cert, key);
  for (const authorities of ca ?? []) checkAuthorities(crypto, "tls.ca", authorities);
  const { signal } = options;
  signal?.throwIfAborted();
  const { promise: trusted, resolve, reject } = Promise.withResolvers<TlsConnection>();
  const abort = () => reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  let misnamed: string | undefined;
  const tcp = net.connect({ host: endpoint.host, port: endpoint.port, allowHalfOpen: true });
  const socket = connect({
    socket: tcp,
    servername: isIp(serverName) ? undefined : serverName,
    ca: ca === undefined ? undefined : [...ca],
    cert,
    key,
    // The runtime checks the certificate all the same; `distrust` acts on it and, unlike the runtime, can say why.
    rejectUnauthorized: false,
    checkServerIdentity: (_, { raw }) => {
      misnamed = whyNotFor(raw, serverName);
      return misnamed === undefined ? undefined : new Error(misnamed);
    },
  });
  // All in this event: what comes behind the handshake finds the connection reading, and stops there.
  socket.once("secureConnect", () => {
    const distrusted = distrust(socket, misnamed);
    if (distrusted !== undefined) reject(distrusted);
    else resolve(new TlsConnection(socket, tcp, formatEndpoint(endpoint)));
  });
  socket.on("error", (error) => reject(asTlsError(error)));
  socket.once("close", () => reject(new Error("The connection was closed")));
  try {
    return await trusted;
  } catch (error) {
    socket.destroy();
    tcp.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Why a server is not trusted, or `undefined` when it is. Never throws: it is called by the runtime. */
function distrust(socket: TLSSocket, misnamed: string | undefined): TlsError | undefined {
  // A session that is resumed was not checked now, and perhaps never; none is asked for, so that there should be none.
  if (socket.authorized && !socket.authorizationError && !socket.isSessionReused()) return undefined;
  if (misnamed !== undefined) return new TlsError("wrong_name", `TLS failed: ${misnamed}`);
  const { reason, text } = whatIsWrong(socket, "server", runtimePlatform.clock.wall());
  return new TlsError(reason, `TLS failed: ${text}`);
}

/** Why a certificate is not that of `host`, or `undefined` when it is. Never throws: it is called by the runtime. */
function whyNotFor(der: Uint8Array, host: string): string | undefined {
  try {
    const names = readNames(der);
    if (isFor(names, host)) return undefined;
    const given = [...names.dnsNames, ...names.ipAddresses].join(", ").slice(0, 200);
    return `the server's certificate is not for "${host}" but for ${given === "" ? "nobody by name" : given}`;
  } catch {
    return "the server's certificate can't be read";
  }
}
