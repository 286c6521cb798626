/** An address that can be dialled, taken apart. */
export type Endpoint =
  | { readonly scheme: "tcp" | "tls"; readonly host: string; readonly port: number }
  | { readonly scheme: "unix"; readonly path: string }
  | { readonly scheme: "memory"; readonly name: string };

const HOST_AND_PORT =
  /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)):(\d{1,5})$/;
const MAX_HOST = 253;
/** What the socket address of the system holds, without its closing zero. */
const MAX_PATH = 107;

/**
 * Takes an endpoint URL apart: `tcp://host:port`, `tls://host:port`, `unix:///path` or `memory://name`. IPv6 addresses stand
 * in brackets.
 * @throws {TypeError} that says what is wrong with it
 */
export function parseEndpoint(text: string): Endpoint {
  const fail = (why: string) => new TypeError(`Cannot use endpoint ${JSON.stringify(text)}: ${why}`);
  const match = typeof text === "string" ? /^([a-z]+):\/\/(.*)$/s.exec(text) : null;
  if (match === null) throw fail('write it as a URL, such as "tcp://127.0.0.1:7700"');
  const [, scheme, rest] = match;
  switch (scheme) {
    case "tcp":
    case "tls": {
      const parts = HOST_AND_PORT.exec(rest);
      if (parts === null) throw fail(`after "${scheme}://" comes host:port, such as 127.0.0.1:7700 or [::1]:7700`);
      const host = parts[1] ?? parts[2];
      const port = Number(parts[3]);
      if (host.length > MAX_HOST) throw fail(`its host is longer than ${MAX_HOST} characters`);
      if (port > 65_535) throw fail("its port is greater than 65535");
      return { scheme, host, port };
    }
    case "unix":
      if (!rest.startsWith("/") || rest.includes("\0")) throw fail('after "unix://" comes an absolute path');
      if (new TextEncoder().encode(rest).length > MAX_PATH) throw fail(`its path is longer than ${MAX_PATH} bytes`);
      return { scheme, path: rest };
    case "memory":
      if (!/^[\w.:-]{1,200}$/.test(rest)) throw fail('after "memory://" comes a name of letters, digits and . _ : -');
      return { scheme, name: rest };
    default:
      throw fail(`there is no scheme "${scheme}"; there are tcp, tls, unix and memory`);
  }
}

/** Puts an endpoint together again. */
export function formatEndpoint(endpoint: Endpoint): string {
  switch (endpoint.scheme) {
    case "unix":
      return `unix://${endpoint.path}`;
    case "memory":
      return `memory://${endpoint.name}`;
    default:
      return `${endpoint.scheme}://${
        endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host
      }:${endpoint.port}`;
  }
}

/** Whether a host means "every address of this machine", which nobody can dial from elsewhere. */
export function isWildcardHost(host: string): boolean {
  return /^(0+(\.0+){0,3}|\*)$/.test(host) || /^[0:]*$/.test(host) && host.includes(":") ||
    /^(::|0:0:0:0:0:0?)(ffff:)?0\.0\.0\.0$/i.test(host);
}

/** Whether a host is this machine as it sees itself, and nobody else does. */
export function isLoopbackHost(host: string): boolean {
  // An address has many spellings ("127.1", "0::1"), and this knows them all.
  const name = URL.parse(`http://${host.includes(":") ? `[${host}]` : host}/`)?.hostname ?? host;
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || /^127\./.test(name) ||
    /^\[::ffff:7f[\da-f]{2}:/.test(name);
}

/** Whether the other side of a connection is on this machine: it came over its loopback, a unix socket, or memory. */
export function isLocalPeer(text: string): boolean {
  if (!/^(tcp|tls):/.test(text)) return /^(unix|memory):/.test(text);
  const host = HOST_AND_PORT.exec(text.slice(6));
  return host !== null && isLoopbackHost(host[1] ?? host[2]);
}
