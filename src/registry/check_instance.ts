import { checkServiceName } from "../core/service.ts";
import type { Instance } from "./instance.ts";

const MAX_ID = 200;
const MAX_ENDPOINTS = 16;
const MAX_ENDPOINT = 512;
const MAX_SERVICES = 1000;
const MAX_LABEL = 100;
const MAX_WEIGHT = 1e6;
const MAX_METADATA_ENTRIES = 64;
const MAX_METADATA_BYTES = 8 * 1024;

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const ENDPOINT = /^(tcp|tls|unix|memory):\/\/\S+$/;
/** Four numbers from 0 to 255, as they are mostly written. */
const DOTTED = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const SOCKET = /^(?:tcp|tls):\/\/([\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})$/;

/**
 * Addresses that nobody else can dial, or that are another machine for everybody who dials them, as `URL` spells them: "all of
 * mine", those of one link (where clouds answer questions about the machine), of groups, and of everybody.
 */
const UNROUTABLE: readonly RegExp[] = [
  /^0\.\d+\.\d+\.\d+$/,
  /^169\.254\./,
  /^2(2[4-9]|3\d)\./,
  /^255\.255\.255\.255$/,
  /^\[::\]$/,
  /^\[fe[89ab][0-9a-f]:/,
  /^\[ff[0-9a-f]{2}:/,
];

/**
 * Checks an instance that somebody wants listed, and gives back a copy of it that nobody can change.
 *
 * @throws {TypeError} that names the instance, the member, its value and what it may be
 */
export function checkInstance(instance: Instance): Instance {
  if (typeof instance !== "object" || instance === null) {
    throw new TypeError(`Cannot register ${quoted(instance)}: it is not an instance`);
  }
  const { id, incarnation, endpoints, services, zone, weight, version, metadata } = instance;
  if (typeof id !== "string" || id === "" || id.length > MAX_ID || CONTROL.test(id) || !id.isWellFormed()) {
    throw new TypeError(
      `Cannot register instance ${
        quoted(id)
      }: its id must be text of 1 to ${MAX_ID} characters without control characters`,
    );
  }
  const refuse = (member: string, value: unknown, rule: string): never => {
    throw new TypeError(`Cannot register instance ${quoted(id)}: its ${member} ${quoted(value)} must be ${rule}`);
  };
  if (!Number.isSafeInteger(incarnation) || incarnation < 0) {
    refuse("incarnation", incarnation, "a whole number from 0 to 2^53 - 1");
  }
  if (typeof weight !== "number" || !(weight >= 0 && weight <= MAX_WEIGHT)) {
    refuse("weight", weight, `a number from 0 to ${MAX_WEIGHT}`);
  }
  for (const [member, label] of [["zone", zone], ["version", version]]) {
    if (typeof label !== "string" || label.length > MAX_LABEL || CONTROL.test(label)) {
      refuse(member, label, `text of at most ${MAX_LABEL} characters without control characters`);
    }
  }
  if (!Array.isArray(endpoints) || endpoints.length === 0 || endpoints.length > MAX_ENDPOINTS) {
    refuse("endpoints", endpoints, `a list of 1 to ${MAX_ENDPOINTS}`);
  }
  for (const endpoint of endpoints) {
    const wrong = endpointFault(endpoint);
    if (wrong !== undefined) refuse("endpoint", endpoint, wrong);
  }
  if (!Array.isArray(services) || services.length === 0 || services.length > MAX_SERVICES) {
    refuse("services", services, `a list of 1 to ${MAX_SERVICES}`);
  }
  return Object.freeze({
    id,
    incarnation,
    endpoints: Object.freeze([...endpoints]),
    services: Object.freeze(services.map(checkServiceName)),
    zone,
    weight,
    version,
    metadata: checkMetadata(metadata, refuse),
  });
}

/** What an endpoint must be and is not, or `undefined`. Whether it can be dialled is for the transport to say. */
function endpointFault(endpoint: unknown): string | undefined {
  if (
    typeof endpoint !== "string" || endpoint.length > MAX_ENDPOINT || !ENDPOINT.test(endpoint) || CONTROL.test(endpoint)
  ) {
    return `a tcp, tls, unix or memory URL of at most ${MAX_ENDPOINT} characters, such as "tcp://10.0.0.7:4000"`;
  }
  if (!endpoint.startsWith("tcp:") && !endpoint.startsWith("tls:")) return undefined;
  const [, host, port] = SOCKET.exec(endpoint) ?? [];
  if (host === undefined || Number(port) === 0 || Number(port) > 65_535) return "a host and a port from 1 to 65535";
  const address = plainHost(host);
  if (address === undefined) return "a host that has a name or an address";
  return isUnroutable(address) ? "an address that others can reach" : undefined;
}

/** A host as it is usually written; `undefined` when it is none. */
export function plainHost(host: string): string | undefined {
  // An address has many spellings ("0", "0x0.0", "[0::0]"), and a URL knows them all; most come as URLs spell them.
  if (DOTTED.test(host)) return host;
  const url = URL.parse(
    `http://${host.includes(":") && !host.startsWith("[") ? `[${host.replace(/%.*/s, "")}]` : host}/`,
  );
  return url === null ? undefined : plainAddress(url.hostname);
}

/** Whether an address, as {@link plainHost} writes it, is nobody's to dial. */
export function isUnroutable(address: string): boolean {
  return UNROUTABLE.some((pattern) => pattern.test(address));
}

/** An IPv4 address that is written as an IPv6 one, as what it is. */
function plainAddress(host: string): string {
  const mapped = /^\[::(?:ffff:)?([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host);
  if (mapped === null) return host;
  const bits = parseInt(mapped[1], 16) * 0x10000 + parseInt(mapped[2], 16);
  return [bits / 2 ** 24, bits >> 16, bits >> 8, bits].map((part) => Math.floor(part) & 0xff).join(".");
}

function checkMetadata(
  metadata: unknown,
  refuse: (member: string, value: unknown, rule: string) => never,
): Readonly<Record<string, string>> {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    return refuse("metadata", metadata, "an object of texts");
  }
  const entries = Object.entries(metadata);
  if (entries.length > MAX_METADATA_ENTRIES) {
    refuse("number of metadata entries", entries.length, `at most ${MAX_METADATA_ENTRIES}`);
  }
  // Without a prototype, so that whoever looks up a name finds what was registered and nothing else.
  const copy: Record<string, string> = Object.create(null);
  let units = 0;
  for (const [key, value] of entries) {
    if (typeof value !== "string") refuse(`metadata ${quoted(key)}`, value, "text");
    units += key.length + value.length;
    copy[key] = value;
  }
  // A text has at most three bytes for each of its units: most need not be measured.
  const bytes = units * 3 <= MAX_METADATA_BYTES ? 0 : bytesOf(entries);
  if (bytes > MAX_METADATA_BYTES) refuse("size of metadata in bytes", bytes, `at most ${MAX_METADATA_BYTES}`);
  return Object.freeze(copy);
}

function bytesOf(entries: readonly [string, string][]): number {
  const encoder = new TextEncoder();
  return entries.flat().reduce((bytes, text) => bytes + encoder.encode(text).length, 0);
}

/** A value from outside for an error's message: no more of it than a reader wants. */
function quoted(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > MAX_LABEL ? `${value.slice(0, MAX_LABEL)}…` : value);
  }
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  return typeof value === "object" && value !== null || typeof value === "function"
    ? `(${typeof value})`
    : String(value);
}
