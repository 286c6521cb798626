import { checkCodec, type Codec } from "../core/codec.ts";

/** What kinds of messages a codec can carry. */
export type CodecKind =
  | "undefined"
  | "null"
  | "boolean"
  | "number"
  | "text"
  | "list"
  | "object"
  | "binary"
  | "bigint";

/** What {@link codecContract} needs to know about a codec. */
export interface CodecContractOptions {
  /** What kinds of messages it carries without loss. Default: what `json()` does, all but `binary` and `bigint`. */
  kinds?: readonly CodecKind[];
  /** More values that must come back as they were sent. Default: none. */
  values?: readonly unknown[];
}

/** One case of a contract: give `name` and `run` to any test runner. */
export interface CodecCase {
  /** What holds, after the codec's name. */
  readonly name: string;
  /** Throws when it does not hold. */
  run(): void;
}

const JSON_KINDS: readonly CodecKind[] = ["undefined", "null", "boolean", "number", "text", "list", "object"];

/** Long enough to nest past any stack, short enough to be tried 256 times. */
const LONG = 20_000;

/**
 * What every codec must do, as named cases.
 *
 * ```ts ignore
 * import { codecContract } from "@erpc/erpc/testing";
 * import { bytes } from "@erpc/erpc";
 *
 * for (const { name, run } of codecContract(bytes(), { kinds: ["binary"] })) Deno.test(name, run);
 * ```
 *
 * A case throws an `Error` that says what it saw. Cases may run in any order, and twice. A codec that hangs makes its case
 * hang, so run them under a time limit.
 */
export function codecContract(codec: Codec, options: CodecContractOptions = {}): CodecCase[] {
  const kinds = new Set(options.kinds ?? JSON_KINDS);
  const values = [...samples(kinds), ...(options.values ?? [])];
  const cases: CodecCase[] = [];
  const add = (name: string, run: () => void) => cases.push({ name: `codec ${codec.name}, ${name}`, run });

  add("has a name that can travel", () => void checkCodec(codec));

  add("gives back every value that it was given", () => {
    for (const value of values) expect(codec.decode(wire(codec, value)), value, "after a round trip");
  });

  add("decodes from the middle of a larger buffer", () => {
    for (const value of values) {
      const encoded = wire(codec, value);
      const buffer = new Uint8Array(encoded.length + 20).fill(0x7b);
      buffer.set(encoded, 10);
      expect(codec.decode(buffer.subarray(10, 10 + encoded.length)), value, "from the middle of a buffer");
    }
  });

  add("neither keeps nor changes the bytes that it decodes", () => {
    for (const value of values) {
      const encoded = wire(codec, value);
      const input = encoded.slice();
      const decoded = codec.decode(input);
      expect(input, encoded, "the bytes, after they were decoded");
      input.fill(0xc1);
      expect(decoded, value, "after the bytes were overwritten");
    }
  });

  add("gives values of their own to two that decode the same bytes", () => {
    for (const value of values) {
      const encoded = wire(codec, value);
      const first = codec.decode(encoded);
      const second = codec.decode(encoded);
      if (first instanceof Uint8Array) first.fill(0xc1);
      else if (Array.isArray(first)) first.length = 0;
      else if (isObject(first)) { for (const key of Object.keys(first)) delete first[key]; }
      expect(second, value, "after its twin was changed");
    }
  });

  add("leaves the value that it encodes as it was", () => {
    // Made twice rather than cloned, so that nothing but the codec had a hand in it.
    const untouched = samples(kinds);
    samples(kinds).forEach((value, i) => {
      codec.encode(value);
      expect(value, untouched[i], "the value, after it was encoded");
    });
  });

  add("gives encoded bytes that last until it encodes again", () => {
    for (const value of values) {
      const encoded = codec.encode(value);
      const copy = toBytes(encoded).slice();
      attempt(codec, copy);
      attempt(codec, new Uint8Array([0xc1, 0x7b, 0x22]));
      expect(toBytes(encoded), copy, "encoded bytes, after others were decoded");
    }
  });

  add("keeps nothing from one message to the next", () => {
    const encoded = values.map((value) => wire(codec, value));
    for (let i = 0; i < values.length; i++) {
      const j = values.length - 1 - i;
      attempt(codec, encoded[j].subarray(0, encoded[j].length - 1));
      expect(codec.decode(encoded[i]), values[i], `after a broken message ${j}`);
      expect(codec.decode(encoded[j]), values[j], `after message ${i}`);
      expect(wire(codec, values[i]), encoded[i], `value ${i}, encoded again`);
    }
  });

  add("decodes or refuses every prefix of a message", () => {
    for (const value of values) {
      const encoded = wire(codec, value);
      // Of a long message its two ends will do.
      for (let length = 0; length < encoded.length; length++) {
        if (length > 40 && length < encoded.length - 40) length = encoded.length - 40;
        attempt(codec, encoded.subarray(0, length));
      }
    }
  });

  add("decodes or refuses every byte put in the place of another", () => {
    for (const value of values) {
      const encoded = wire(codec, value);
      for (let at = 0; at < Math.min(encoded.length, encoded.length < 5_000 ? 40 : 5); at++) {
        for (const byte of [0x00, 0x22, 0x5c, 0x7f, 0x80, 0xc1, 0xc9, 0xdd, 0xdf, 0xff]) {
          const broken = encoded.slice();
          broken[at] = byte;
          attempt(codec, broken);
        }
      }
    }
  });

  add("decodes or refuses garbage", () => {
    for (let byte = 0; byte < 256; byte++) {
      attempt(codec, new Uint8Array([byte]));
      attempt(codec, new Uint8Array(9).fill(byte));
      attempt(codec, new Uint8Array(LONG).fill(byte));
    }
    let state = 1;
    for (let round = 0; round < 2_000; round++) {
      const garbage = new Uint8Array(round % 64);
      // Numerical Recipes' generator; the same garbage every time.
      for (let i = 0; i < garbage.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        garbage[i] = state >>> 24;
      }
      attempt(codec, garbage);
    }
  });

  add("does the same with an empty message every time", () => {
    const first = attempt(codec, new Uint8Array(0));
    const second = attempt(codec, new Uint8Array(0));
    if (first.refused !== second.refused) throw new Error("An empty message was decoded once and refused once");
    expect(second.value, first.value, "an empty message, the second time");
  });

  add("refuses to encode a function and a symbol", () => {
    for (const value of [() => {}, Symbol("s")]) mustRefuse(codec, value, `a ${typeof value}`);
  });

  if (!kinds.has("undefined")) {
    add("refuses to encode undefined", () => mustRefuse(codec, undefined, "undefined"));
  }

  if (kinds.has("list")) {
    add("refuses to encode a list in itself", () => {
      const cycle: unknown[] = [];
      cycle.push(cycle);
      mustRefuse(codec, cycle, "a list in itself");
    });

    add("does not run out of stack on a hundred thousand lists in each other", () => {
      let deep: unknown[] = [];
      for (let i = 0; i < 100_000; i++) deep = [deep];
      let encoded: Uint8Array;
      try {
        encoded = wire(codec, deep);
      } catch (thrown) {
        return checkError(thrown, "encoding them");
      }
      attempt(codec, encoded);
    });
  }

  if (kinds.has("object")) {
    add("lets no key reach a prototype", () => {
      for (const text of ['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}']) {
        let encoded: Uint8Array;
        try {
          encoded = wire(codec, JSON.parse(text));
        } catch {
          continue;
        }
        const { value } = attempt(codec, encoded);
        if (isObject(value) && "polluted" in value) throw new Error(`${text} gave its message a prototype`);
        if ("polluted" in {}) throw new Error(`${text} reached the prototype of all objects`);
      }
    });
  }

  return cases;
}

function samples(kinds: ReadonlySet<CodecKind>): unknown[] {
  const list: unknown[] = [];
  if (kinds.has("undefined")) list.push(undefined);
  if (kinds.has("null")) list.push(null);
  if (kinds.has("boolean")) list.push(true, false);
  if (kinds.has("number")) {
    for (let exponent = 0; exponent <= 53; exponent++) list.push(2 ** exponent, 2 ** exponent - 1, -(2 ** exponent));
    list.push(0.1, -0.5, Number.MAX_VALUE, Number.MIN_VALUE, Number.EPSILON, 1e21, 123456.789);
  }
  if (kinds.has("text")) {
    list.push(
      "",
      "a",
      "Кириллица",
      "漢字",
      "🍺",
      "\u0000\u001f\u007f\u0080",
      "\uFFFD",
      '"\\/\b\f\n\r\t',
      "__proto__",
      "]}",
    );
    for (const length of [31, 32, 33, 255, 256, 65_535, 65_536]) list.push("x".repeat(length), "é".repeat(length));
  }
  if (kinds.has("binary")) {
    for (const length of [0, 1, 255, 256, 65_535, 65_536]) list.push(Uint8Array.from({ length }, (_, i) => i));
  }
  if (kinds.has("bigint")) list.push(0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n);
  const scalars = list.filter((value) => value !== undefined);
  if (kinds.has("list")) {
    list.push(
      [],
      scalars,
      [[[]]],
      Array.from({ length: 16 }, (_, i) => scalars[i % scalars.length]),
    );
  }
  if (kinds.has("object")) {
    list.push({}, { "": null, a: {}, then: "a text", constructor: 1, toString: 2, hasOwnProperty: 3, "1": 4 });
    list.push(Object.fromEntries(scalars.map((value, i) => [`key ${i}`, value])));
  }
  if (kinds.has("list") && kinds.has("object")) {
    list.push([{ a: [{ b: [] }] }]);
    let deep: unknown = { list: [] };
    for (let i = 1; i < 50; i++) deep = { list: [deep] };
    list.push(deep);
  }
  return list;
}

/** Decodes what may be broken: an `Error` is an answer, running out of stack and throwing something else is not. */
function attempt(codec: Codec, bytes: Uint8Array): { refused: boolean; value?: unknown } {
  try {
    return { refused: false, value: codec.decode(bytes) };
  } catch (thrown) {
    checkError(thrown, `decoding ${bytes.length} bytes`);
    return { refused: true };
  }
}

function mustRefuse(codec: Codec, value: unknown, what: string): void {
  let encoded: Uint8Array | string;
  try {
    encoded = codec.encode(value);
  } catch (thrown) {
    return checkError(thrown, `encoding ${what}`);
  }
  throw new Error(`Encoding ${what} gave ${show(encoded)} and should have thrown`);
}

function checkError(thrown: unknown, doing: string): void {
  if (!(thrown instanceof Error)) throw new Error(`What ${doing} threw is not an Error: ${show(thrown)}`);
  // What engines throw when the stack runs out: RangeError in V8 and JavaScriptCore, InternalError in SpiderMonkey.
  if (/call stack|recursion/i.test(thrown.message) && thrown.name !== "TypeError") {
    throw new Error(`The stack ran out while ${doing}`, { cause: thrown });
  }
}

function wire(codec: Codec, value: unknown): Uint8Array {
  return toBytes(codec.encode(value)).slice();
}

function toBytes(encoded: Uint8Array | string): Uint8Array {
  if (typeof encoded === "string") return new TextEncoder().encode(encoded);
  if (encoded instanceof Uint8Array) return encoded;
  throw new Error(`encode gave ${show(encoded)}, neither text nor a Uint8Array`);
}

function expect(actual: unknown, expected: unknown, when: string): void {
  if (!same(actual, expected)) throw new Error(`Got ${show(actual)} instead of ${show(expected)}, ${when}`);
}

function same(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    if (!(a instanceof Uint8Array && b instanceof Uint8Array) || a.length !== b.length) return false;
    return a.every((byte, i) => byte === b[i]);
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (!isObject(a) || !isObject(b) || Array.isArray(a) || Array.isArray(b)) return Object.is(a, b);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function show(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value, (_, part) => typeof part === "bigint" ? `${part}n` : part);
  } catch {
    // Shown below as what it is.
  }
  text ??= String(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
