import { addressesOf, dialEach } from "./addresses.ts";
import type { ByteConnection, ByteListener } from "./byte_connection.ts";
import { parseEndpoint } from "./endpoint.ts";
import { processMemory } from "./memory.ts";
import type { ConnectOptions, ListenOptions } from "./options.ts";
import { connectTcp, listenTcp } from "./tcp.ts";
import { connectTls } from "./tls.ts";
import { listenTls } from "./tls_listener.ts";
import { checkTlsClientOptions, type TlsClientOptions } from "./tls_options.ts";
import { connectUnix, listenUnix } from "./unix.ts";

/** Carries bytes between endpoints. Handed in wherever sockets are opened, so that tests can bring a network of their own. */
export interface Transport {
  /** Dials. Rejects when nobody listens there, and when the signal aborts. */
  connect(endpoint: string, options?: ConnectOptions): Promise<ByteConnection>;
  /** Listens; port 0 takes any free port. Rejects when the address is taken or not allowed. */
  listen(endpoint: string, options?: ListenOptions): Promise<ByteListener>;
}

/** The same transport, with options for the `tls://` endpoints that it dials. @throws {TypeError} when they can't be used */
export function dialling(transport: Transport, tls: TlsClientOptions | undefined): Transport {
  if (tls === undefined) return transport;
  checkTlsClientOptions(tls);
  return {
    connect: (endpoint, options) => transport.connect(endpoint, { ...options, tls }),
    listen: (endpoint, options) => transport.listen(endpoint, options),
  };
}

/** The endpoints of this machine and process: TCP, TLS, unix sockets and memory, by the scheme of the URL. */
export const systemTransport: Transport = {
  // Not async functions alone: an endpoint that can't be parsed rejects like one that can't be reached.
  async connect(text: string, options: ConnectOptions = {}): Promise<ByteConnection> {
    const endpoint = parseEndpoint(text);
    options.signal?.throwIfAborted();
    const { mayDial } = options;
    if (mayDial !== undefined && "host" in endpoint) {
      // The certificate is for the name.
      const tls = { ...options.tls, serverName: options.tls?.serverName ?? endpoint.host };
      const dial = (host: string) =>
        endpoint.scheme === "tcp"
          ? connectTcp({ ...endpoint, host }, options.signal)
          : connectTls({ ...endpoint, host }, { ...options, tls });
      return await dialEach(await addressesOf(endpoint.host, mayDial), dial);
    }
    switch (endpoint.scheme) {
      case "tcp":
        return await connectTcp(endpoint, options.signal);
      case "tls":
        return await connectTls(endpoint, options);
      case "unix":
        return await connectUnix(endpoint, options.signal);
      case "memory":
        return processMemory.connect(endpoint.name);
    }
  },
  async listen(text: string, options: ListenOptions = {}): Promise<ByteListener> {
    const endpoint = parseEndpoint(text);
    switch (endpoint.scheme) {
      case "tcp":
        return listenTcp(endpoint);
      case "tls":
        return await listenTls(endpoint, options);
      case "unix":
        return await listenUnix(endpoint);
      case "memory":
        return processMemory.listen(endpoint.name);
    }
  },
};
