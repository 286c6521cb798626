/** A value of {@link Metadata}: text without control characters, or bytes. */
export type MetadataValue = string | Uint8Array;

/** What {@link Metadata} can be made from. */
export type MetadataInit =
  | Metadata
  | Iterable<readonly [string, MetadataValue]>
  | Readonly<Record<string, MetadataValue>>;

const KEY = /^[a-z0-9][a-z0-9._-]{0,255}$/;
const RESERVED = "rpc-";
/** The trailer that names an error which the contract declares (PROTOCOL §6). */
export const REASON_KEY = "rpc-reason";
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/**
 * Key–value pairs that travel beside the messages: before them as metadata, after them as trailers.
 *
 * ```ts
 * const metadata = new Metadata({ tenant: "acme", "trace-bin": new Uint8Array([1, 2]) });
 * metadata.text("tenant"); // "acme"
 * ```
 *
 * Wherever options take metadata, a plain object does as well: `{ metadata: { tenant: "acme" } }`.
 *
 * Keys are lower case and may repeat; the order of pairs is kept. Keys that begin with `rpc-` belong to the kit.
 * @throws {TypeError} from everything that takes a key or a value that cannot travel.
 */
export class Metadata implements Iterable<[string, MetadataValue]> {
  #pairs: [string, MetadataValue][] = [];

  /** Makes a set of pairs, with a copy of `init` in it. */
  constructor(init?: MetadataInit) {
    if (init === undefined) return;
    if (init instanceof Metadata) {
      this.#pairs = [...init.#pairs];
      return;
    }
    const pairs = Symbol.iterator in init ? init as Iterable<readonly [string, MetadataValue]> : Object.entries(init);
    for (const [key, value] of pairs) this.append(key, value);
  }

  /** How many pairs there are. */
  get size(): number {
    return this.#pairs.length;
  }

  /** How many bytes it takes on the wire at most: a text has up to three for each of its units. */
  get mostBytes(): number {
    let bytes = 0;
    for (const [key, value] of this.#pairs) bytes += 6 + (key.length + value.length) * 3;
    return bytes;
  }

  /** Adds a pair behind those with the same key. */
  append(key: string, value: MetadataValue): void {
    this.#pairs.push([checkKey(key), checkValue(key, value)]);
  }

  /** Replaces every pair with this key by one. */
  set(key: string, value: MetadataValue): void {
    this.delete(key);
    this.append(key, value);
  }

  /** Removes every pair with this key. */
  delete(key: string): void {
    const lower = key.toLowerCase();
    this.#pairs = this.#pairs.filter((pair) => pair[0] !== lower);
  }

  /** Adds all pairs of another set behind its own. */
  absorb(other: Metadata): void {
    for (const pair of other) this.#pairs.push(pair);
  }

  /** Whether there is a pair with this key. */
  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** The first value of a key. */
  get(key: string): MetadataValue | undefined {
    const lower = key.toLowerCase();
    return this.#pairs.find((pair) => pair[0] === lower)?.[1];
  }

  /** The first value of a key as text; bytes are not text. */
  text(key: string): string | undefined {
    const value = this.get(key);
    return typeof value === "string" ? value : undefined;
  }

  /** Every value of a key, in order. */
  getAll(key: string): MetadataValue[] {
    const lower = key.toLowerCase();
    return this.#pairs.filter((pair) => pair[0] === lower).map((pair) => pair[1]);
  }

  /** All pairs in order. */
  [Symbol.iterator](): IterableIterator<[string, MetadataValue]> {
    return this.#pairs.values();
  }

  /** The pairs as a list, for logs. */
  toJSON(): [string, string][] {
    return this.#pairs.map(([key, value]) => [key, typeof value === "string" ? value : `<${value.length} bytes>`]);
  }

  /** Takes pairs from the wire, which were checked there. */
  static received(pairs: [string, MetadataValue][]): Metadata {
    const metadata = new Metadata();
    metadata.#pairs = pairs;
    return metadata;
  }
}

/** Keys that were found good: most calls bring the same few. */
const goodKeys = new Set<string>();
const MAX_GOOD_KEYS = 256;

/** Whether a key has the form that may travel. */
export function isMetadataKey(key: string): boolean {
  if (goodKeys.has(key)) return true;
  if (!KEY.test(key)) return false;
  if (goodKeys.size < MAX_GOOD_KEYS) goodKeys.add(key);
  return true;
}

/** Whether a text value has no control characters. */
export function isMetadataText(value: string): boolean {
  return !CONTROL.test(value);
}

function checkKey(key: string): string {
  if (goodKeys.has(key) && !key.startsWith(RESERVED)) return key;
  const lower = String(key).toLowerCase();
  if (!isMetadataKey(lower)) {
    throw new TypeError(
      `Cannot use metadata key ${JSON.stringify(key)}: it must match ${KEY.source}`,
    );
  }
  if (lower.startsWith(RESERVED)) {
    throw new TypeError(`Cannot use metadata key ${JSON.stringify(key)}: keys that begin with "rpc-" are reserved`);
  }
  return lower;
}

function checkValue(key: string, value: MetadataValue): MetadataValue {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== "string") {
    throw new TypeError(`Cannot use metadata value of "${key}": it is ${typeof value}, neither text nor bytes`);
  }
  if (!isMetadataText(value)) {
    throw new TypeError(`Cannot use metadata value of "${key}": it has control characters; pass bytes instead`);
  }
  return value;
}
