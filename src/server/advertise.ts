/** Which addresses a server registers: those that others can dial, and no others. */
import { environment } from "../core/platform.ts";
import { type Endpoint, formatEndpoint, isLoopbackHost, isWildcardHost, parseEndpoint } from "../transport/endpoint.ts";
import { firstOutsideHost } from "../transport/interfaces.ts";

/** What to register instead of the addresses that are listened on: see `ServerOptions.advertise`. */
export type Advertise =
  | string
  | { readonly env: string }
  | ((listening: readonly string[]) => string | readonly string[] | Promise<string | readonly string[]>);

/** Gives what to register in place of the addresses that are listened on. */
export type Advertised = (listening: readonly string[]) => Promise<readonly string[]>;

/**
 * Reads an option once, so that what is wrong with it is known when the server is made.
 * @throws {TypeError} when it is, or names, no address that others can dial
 */
export function checkAdvertise(advertise: Advertise | undefined): Advertised | undefined {
  if (advertise === undefined) return undefined;
  if (typeof advertise === "function") {
    return async (listening) => {
      const given = await advertise(listening);
      const endpoints = typeof given === "string" ? [given] : given;
      if (!Array.isArray(endpoints) || endpoints.length === 0) {
        throw new TypeError(`Cannot advertise ${String(given)}: the function must give an endpoint, or a list of some`);
      }
      return endpoints.map((endpoint) => checkAdvertised(endpoint, "the function's"));
    };
  }
  const variable = typeof advertise === "string" ? /^\$(\w+)$/.exec(advertise)?.[1] : advertise.env;
  const endpoint = variable === undefined
    ? checkAdvertised(advertise as string, "the")
    : checkAdvertised(fromEnvironment(variable), `$${variable}'s`);
  return () => Promise.resolve([endpoint]);
}

function fromEnvironment(variable: string): string {
  if (typeof variable !== "string" || variable === "") {
    throw new TypeError(`Cannot advertise { env: ${JSON.stringify(variable)} }: env must name a variable`);
  }
  const value = environment(variable);
  if (value === undefined || value === "") {
    throw new TypeError(`Cannot advertise $${variable}: the environment has no such variable, or it is empty`);
  }
  return value;
}

function checkAdvertised(text: string, whose: string): string {
  const endpoint = parseEndpoint(text);
  if (!("host" in endpoint)) return text;
  const fail = (why: string) => new TypeError(`Cannot advertise ${JSON.stringify(text)}: ${whose} ${why}`);
  if (endpoint.port === 0) throw fail("port 0 is none that can be dialled");
  if (isWildcard(endpoint.host)) {
    throw fail(`host ${endpoint.host} means every address of a machine, and none that can be dialled`);
  }
  return text;
}

/** What is known of a registry and of the way to it. */
export interface Vantage {
  /** The center's address; anything else when it is no center. */
  readonly name: string;
  /** Under which host the registry sees this process, if it can tell. Asked only when it matters. */
  readonly observedHost: () => Promise<string | undefined>;
  /** Under which host others see it. Asked only when it matters. */
  readonly outsideHost: () => Promise<string | undefined>;
}

/**
 * Of the addresses that a server listens on, those that others can dial who ask the registry. An address that means "every
 * address of this machine" becomes the one under which the registry sees this process.
 * @throws {TypeError} when there is none; it says why not, for each
 */
export async function reachable(listening: readonly string[], vantage: Vantage): Promise<readonly string[]> {
  const endpoints: string[] = [];
  const faults: string[] = [];
  for (const text of listening) {
    const endpoint = parseEndpoint(text);
    if ("host" in endpoint && isWildcard(endpoint.host)) {
      endpoints.push(formatEndpoint({ ...endpoint, host: await hostInsteadOf(endpoint.host, vantage) }));
    } else if (!isLocal(endpoint) || await isHere(vantage)) endpoints.push(text);
    else faults.push(`${text} can be dialled on this machine alone, and ${vantage.name} is on another`);
  }
  if (endpoints.length > 0) return endpoints;
  throw new TypeError(
    `Cannot register: ${faults.join("; ")}. Listen on an address that others can reach, or say which one that is ` +
      'with the option "advertise"',
  );
}

function isWildcard(host: string): boolean {
  // What is left of a spelling such as "0x0" after the URL has read it.
  return isWildcardHost(host) || /^(0\.0\.0\.0|\[::\])$/.test(URL.parse(`http://${bracketed(host)}/`)?.hostname ?? "");
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

async function hostInsteadOf(wildcard: string, { outsideHost }: Vantage): Promise<string> {
  const onlyIPv4 = !wildcard.includes(":");
  const seen = (await outsideHost())?.replace(/^::ffff:(?=\d+\.)/i, "");
  // Seen over IPv6, while only IPv4 is listened on.
  return seen === undefined || onlyIPv4 && seen.includes(":") ? firstOutsideHost(onlyIPv4) : seen;
}

/** Whether nobody on another machine can dial it. */
function isLocal(endpoint: Endpoint): boolean {
  return !("host" in endpoint) || isLoopbackHost(endpoint.host);
}

/** Whether those who ask a registry are on this machine too. One that is no center, and can't tell, gets the benefit of the doubt. */
async function isHere({ name, observedHost }: Vantage): Promise<boolean> {
  const address = URL.canParse(name) ? parseEndpoint(name) : undefined;
  if (address !== undefined && isLocal(address)) return true;
  const seen = await observedHost();
  return seen === undefined ? address === undefined : isLoopbackHost(seen);
}
