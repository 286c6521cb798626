/** Why the two sides did not come to trust each other. `not_tls`: the other side does not speak TLS, or none of its versions. */
export type TlsReason =
  | "expired"
  | "not_yet_valid"
  | "untrusted"
  | "wrong_purpose"
  | "wrong_name"
  | "revoked"
  | "missing"
  | "not_tls"
  | "other";

/** TLS could not be set up, or the other side refused it. */
export class TlsError extends Error {
  /** Why, for programs. */
  readonly reason: TlsReason;

  /** Makes an error. */
  constructor(reason: TlsReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TlsError";
    this.reason = reason;
  }
}

/** What the other side's alerts say about this side's certificate (RFC 8446 §6.2), by the runtime's names of them. */
const ALERTS: ReadonlyMap<string, readonly [TlsReason, string]> = new Map([
  ["CertificateRequired", ["missing", "it requires a certificate and was shown none"]],
  ["CertificateExpired", ["expired", "the certificate that it was shown has expired"]],
  ["CertificateRevoked", ["revoked", "the certificate that it was shown was revoked"]],
  ["UnknownCA", ["untrusted", "the certificate that it was shown was issued by nobody whom it trusts"]],
  ["UnsupportedCertificate", ["wrong_purpose", "the certificate that it was shown is not meant for that"]],
  ["BadCertificate", ["other", "the certificate that it was shown is bad, or has another name"]],
  ["ProtocolVersion", ["not_tls", "it speaks other versions of TLS"]],
]);

/**
 * What the runtime's TLS failed with, in words. What has nothing to do with TLS stays as it is.
 *
 * The runtime has no field for alerts; their names stand in its messages.
 */
export function asTlsError(error: Error): Error {
  const { message } = error;
  const alert = /received fatal alert: (\w+)/.exec(message)?.[1];
  if (alert !== undefined) {
    const [reason, why] = ALERTS.get(alert) ?? ["other", "it does not say why"];
    return new TlsError(reason, `TLS failed: the other side refused (${alert}): ${why}`, { cause: error });
  }
  if (message.includes("corrupt message")) {
    return new TlsError("not_tls", "TLS failed: what the other side sent is not TLS", { cause: error });
  }
  if (message.includes("before secure TLS connection was established")) {
    const text = "TLS failed: the other side ended the connection in the handshake; perhaps it does not speak TLS";
    return new TlsError("not_tls", text, { cause: error });
  }
  return error;
}
