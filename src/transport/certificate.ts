/**
 * What a certificate says of its holder.
 *
 * The names are read from the bytes. The runtime's text of them can't be taken apart again: it does not quote, so that
 * `URI:x, DNS:y` may be two names or one. Whether a certificate is genuine is decided by the runtime alone.
 */
import type { PeerCertificate as NodeCertificate, TLSSocket } from "node:tls";
import type { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "./byte_connection.ts";
import type { TlsReason } from "./tls_error.ts";

/** The names and purposes of a certificate (RFC 5280 §4.2.1.6 and §4.2.1.12). */
export interface CertificateNames {
  /** Host names, which may begin with `*.`. */
  readonly dnsNames: readonly string[];
  /** URIs, such as those of SPIFFE. */
  readonly uris: readonly string[];
  /** Mail addresses. */
  readonly emails: readonly string[];
  /** IP addresses, as a URL writes them, without brackets. */
  readonly ipAddresses: readonly string[];
  /** Object identifiers of what it is meant for, as hexadecimal digits; `undefined` when it does not say. */
  readonly purposes: readonly string[] | undefined;
}

/** What a certificate can be meant for, as the identifier's hexadecimal digits (RFC 5280 §4.2.1.12). */
const PURPOSES = { server: "2b06010505070301", client: "2b06010505070302" } as const;
const ANY_PURPOSE = "551d2500";

const SUBJECT_ALT_NAME = "551d11";
const EXTENDED_KEY_USAGE = "551d25";

/** Reads names and purposes. @throws {TypeError} when the bytes are no certificate */
export function readNames(der: Uint8Array): CertificateNames {
  const names = { dnsNames: [] as string[], uris: [] as string[], emails: [] as string[], ipAddresses: [] as string[] };
  let purposes: string[] | undefined;
  for (const { id, value } of extensions(der)) {
    if (id === EXTENDED_KEY_USAGE) purposes = elements(only(value, 0x30)).map((purpose) => hex(purpose.value));
    if (id !== SUBJECT_ALT_NAME) continue;
    for (const name of elements(only(value, 0x30))) {
      if (name.tag === 0x81) names.emails.push(ascii(name.value));
      else if (name.tag === 0x82) names.dnsNames.push(ascii(name.value));
      else if (name.tag === 0x86) names.uris.push(ascii(name.value));
      else if (name.tag === 0x87) names.ipAddresses.push(ipText(name.value));
    }
  }
  return { ...names, purposes };
}

/** Whether a certificate with these names is that of `host`, a name or an IP address (RFC 9525 §6.3). */
export function isFor({ dnsNames, ipAddresses }: CertificateNames, host: string): boolean {
  if (isIp(host)) return ipAddresses.includes(canonicalIp(host));
  const name = host.toLowerCase().replace(/\.$/, "");
  return dnsNames.some((given) => {
    const pattern = given.toLowerCase();
    if (!pattern.startsWith("*.")) return pattern === name;
    // The star stands for one whole label, and never for all names of a top-level domain.
    const dot = name.indexOf(".");
    return dot > 0 && name.slice(dot) === pattern.slice(1) && pattern.indexOf(".", 2) !== -1;
  });
}

/** Whether a host is an IP address rather than a name. */
export function isIp(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}

/** The other side's certificate, for those who decide who it is. @throws {TypeError} */
export function describeCertificate(certificate: X509Certificate): PeerCertificate {
  const { subject, issuer } = certificate.toLegacyObject();
  const { dnsNames, uris, emails, ipAddresses } = readNames(certificate.raw);
  return {
    subject: distinguishedName(subject),
    issuer: distinguishedName(issuer),
    dnsNames,
    uris,
    emails,
    ipAddresses,
    serialNumber: certificate.serialNumber,
    fingerprint: certificate.fingerprint256,
  };
}

/** Reads a certificate and makes sure that `key` is its key. @throws {TypeError} that quotes neither */
export function checkPair(crypto: typeof import("node:crypto"), cert: string, key: string): X509Certificate {
  const certificate = attempt("tls.cert", () => new crypto.X509Certificate(cert));
  const privateKey = attempt("tls.key", () => crypto.createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TypeError("Cannot use tls.cert and tls.key together: the key is not that of the certificate");
  }
  return certificate;
}

/** Reads the certificates of authorities, which the runtime would pass over in silence. @throws {TypeError} */
export function checkAuthorities(crypto: typeof import("node:crypto"), name: string, pem: string): void {
  for (const [one] of pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)) {
    attempt(name, () => new crypto.X509Certificate(one));
  }
}

function attempt<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new TypeError(`Cannot use ${name}: it can't be read`, { cause: error });
  }
}

/** What is wrong with the certificate of a socket that the runtime did not accept: it does not tell. Never throws. */
export function whatIsWrong(
  socket: TLSSocket,
  role: "server" | "client",
  wallMs: number,
): { reason: TlsReason; text: string } {
  const whose = `the ${role}'s certificate`;
  try {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return { reason: "missing", text: `the ${role} showed no certificate` };
    const invalid = outOfTime(certificate, wallMs);
    if (invalid !== undefined) return { reason: invalid.reason, text: `${whose} ${invalid.text}` };
    const { purposes } = readNames(certificate.raw);
    if (purposes !== undefined && !purposes.includes(PURPOSES[role]) && !purposes.includes(ANY_PURPOSE)) {
      return { reason: "wrong_purpose", text: `${whose} is not meant for ${role}s` };
    }
    return { reason: "untrusted", text: `${whose} was issued by nobody who is trusted here` };
  } catch {
    return { reason: "other", text: `${whose} can't be read` };
  }
}

/** Why a certificate does not count now, or `undefined`. */
export function outOfTime(
  certificate: X509Certificate,
  wallMs: number,
): { reason: TlsReason; text: string } | undefined {
  if (certificate.validToDate.getTime() < wallMs) {
    return { reason: "expired", text: `expired on ${certificate.validTo}` };
  }
  if (certificate.validFromDate.getTime() > wallMs) {
    return { reason: "not_yet_valid", text: `is not valid before ${certificate.validFrom}` };
  }
  return undefined;
}

/** RFC 4514: `CN=worker 7,O=Example`, with a backslash before what would read as another part. */
function distinguishedName(name: NodeCertificate["subject"]): string {
  return Object.entries(name).flatMap(([type, values]) =>
    [values].flat().map((value) => `${type}=${String(value).replace(/[\\,+"<>;=\p{Cc}]/gu, "\\$&")}`)
  ).join(",");
}

interface Element {
  readonly tag: number;
  readonly value: Uint8Array;
}

/** The extensions: certificate → to be signed → [3] → list of (identifier, critical?, octets). */
function* extensions(der: Uint8Array): Generator<{ id: string; value: Uint8Array }> {
  const [signed] = elements(only(der, 0x30));
  if (signed === undefined) throw malformed();
  const list = elements(signed.value).find(({ tag }) => tag === 0xa3);
  if (list === undefined) return;
  for (const extension of elements(only(list.value, 0x30))) {
    const parts = elements(extension.value);
    const value = parts.at(-1);
    if (parts[0]?.tag !== 0x06 || value?.tag !== 0x04) throw malformed();
    yield { id: hex(parts[0].value), value: value.value };
  }
}

/** The one element of `bytes`. */
function only(bytes: Uint8Array, tag: number): Uint8Array {
  const all = elements(bytes);
  if (all.length !== 1 || all[0].tag !== tag) throw malformed();
  return all[0].value;
}

/** The elements that stand one behind the other in `bytes` (X.690, DER). */
function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at];
    let length = bytes[at + 1];
    at += 2;
    if (length >= 0x80) {
      const digits = length - 0x80;
      if (digits < 1 || digits > 3 || at + digits > bytes.length) throw malformed();
      length = 0;
      for (let i = 0; i < digits; i++) length = length * 256 + bytes[at++];
    }
    // Not "greater": a length that is missing is not a number.
    if (!(at + length <= bytes.length) || (tag & 0x1f) === 0x1f) throw malformed();
    found.push({ tag, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw malformed();
  return canonicalIp(hex(bytes).replace(/....(?!$)/g, "$&:"));
}

/** One spelling for each address: that of URLs. */
function canonicalIp(host: string): string {
  if (!host.includes(":")) return host.split(".").map(Number).join(".");
  return new URL(`http://[${host.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function ascii(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function malformed(): TypeError {
  return new TypeError("Cannot read the certificate: it is malformed");
}
