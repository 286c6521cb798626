/** Names of the outcomes of calls, and their numbers on the wire (gRPC's). */
export type Code =
  | "cancelled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

/** The codes in the order of their numbers: `CODES[0]` has number 1. Number 0 means success and has no code. */
export const CODES: readonly Code[] = [
  "cancelled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
];

const NUMBERS: ReadonlyMap<string, number> = new Map(CODES.map((code, index) => [code, index + 1]));

/** The number that stands for `code` on the wire, 1 to 16. */
export function codeNumber(code: Code): number {
  return NUMBERS.get(code) ?? 2;
}

/** The code that a number from the wire stands for; a number that nobody assigned is `unknown`. */
export function codeName(number: number): Code {
  return CODES[number - 1] ?? "unknown";
}

/** Checks a list of codes that an option names. @throws {TypeError} with the name and what is wrong */
export function checkCodes(name: string, codes: readonly Code[]): readonly Code[] {
  if (!Array.isArray(codes)) {
    throw new TypeError(`Cannot use ${name} ${JSON.stringify(codes)}: it must be a list of codes`);
  }
  const wrong = codes.findIndex((code) => !isCode(code));
  if (wrong === -1) return codes;
  throw new TypeError(`Cannot use ${name}: ${JSON.stringify(codes[wrong])} is not a code, such as "unavailable"`);
}

/** Whether `value` is one of the sixteen codes. */
export function isCode(value: unknown): value is Code {
  return typeof value === "string" && NUMBERS.has(value);
}
