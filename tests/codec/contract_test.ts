import { assertGreater, assertStringIncludes, assertThrows } from "@std/assert";
import { bytes } from "../../src/codec/bytes.ts";
import { json } from "../../src/codec/json.ts";
import type { Codec } from "../../src/core/codec.ts";
import { msgpack } from "../../src/msgpack/msgpack.ts";
import { codecContract, type CodecContractOptions } from "../../src/testing/codec_contract.ts";

const MSGPACK: CodecContractOptions = {
  kinds: ["undefined", "null", "boolean", "number", "text", "list", "object", "binary", "bigint"],
  values: [NaN, Infinity, -Infinity, { picture: new Uint8Array([0, 255]), size: 2n ** 60n }],
};

for (const { name, run } of codecContract(json())) Deno.test(name, run);
for (const { name, run } of codecContract(bytes(), { kinds: ["binary"] })) Deno.test(name, run);
for (const { name, run } of codecContract(msgpack(), MSGPACK)) Deno.test(name, run);

/** `json()` with something wrong with it, and the case that must say so. */
const WRONG: [what: string, caught: string, change: (good: Codec) => Partial<Codec>][] = [
  ["a name with a capital", "has a name that can travel", () => ({ name: "JSON" })],
  ["true for false", "gives back every value", (good) => ({
    decode: (input) => good.decode(input) === false ? true : good.decode(input),
  })],
  ["a decoder that reads the whole buffer", "from the middle of a larger buffer", (good) => ({
    decode: (input) => good.decode(new Uint8Array(input.buffer)),
  })],
  ["a decoder that writes into its input", "neither keeps nor changes", (good) => ({
    decode(input) {
      const value = good.decode(input);
      input[0] = 0;
      return value;
    },
  })],
  ["a decoder that remembers", "values of their own", (good) => {
    const known = new Map<string, unknown>();
    return {
      decode(input) {
        const key = input.join();
        if (!known.has(key)) known.set(key, good.decode(input));
        return known.get(key);
      },
    };
  }],
  ["an encoder that changes its value", "leaves the value", (good) => ({
    encode(value) {
      if (Array.isArray(value)) value.push(1);
      return good.encode(value);
    },
  })],
  ["one buffer for both directions", "last until it encodes again", (good) => {
    const shared = new Uint8Array(2 ** 20);
    return {
      encode(value) {
        const { written } = new TextEncoder().encodeInto(good.encode(value) as string, shared);
        return shared.subarray(0, written);
      },
      decode(input) {
        const value = good.decode(input);
        shared.fill(0);
        return value;
      },
    };
  }],
  ["a decoder that stays broken after an error", "keeps nothing from one message", (good) => {
    let broken = false;
    return {
      decode(input) {
        if (broken) return undefined;
        try {
          return good.decode(input);
        } catch (error) {
          broken = true;
          throw error;
        }
      },
    };
  }],
  ["a decoder that throws text", "decodes or refuses every prefix", (good) => ({
    decode(input) {
      try {
        return good.decode(input);
      } catch {
        throw "no";
      }
    },
  })],
  ["a decoder that runs out of stack", "decodes or refuses garbage", (good) => {
    const nest = (input: Uint8Array, at: number): number => input[at] === 0x5b ? 1 + nest(input, at + 1) : 0;
    return {
      decode(input) {
        nest(new Uint8Array(200_000).fill(input[0] ?? 0), 0);
        return good.decode(input);
      },
    };
  }],
  ["an empty message that depends on the weather", "an empty message every time", (good) => {
    let calls = 0;
    return { decode: (input) => input.length === 0 ? calls++ : good.decode(input) };
  }],
  ["an encoder that sends functions as null", "a function and a symbol", (good) => ({
    encode: (value) => typeof value === "function" ? "null" : good.encode(value),
  })],
  ["an encoder that takes a list in itself for null", "a list in itself", (good) => ({
    encode(value) {
      try {
        return good.encode(value);
      } catch {
        return "null";
      }
    },
  })],
  ["an encoder that runs out of stack", "does not run out of stack", (good) => {
    const depth = (value: unknown): number => Array.isArray(value) ? 1 + depth(value[0]) : 0;
    return { encode: (value) => depth(value) < 0 ? "" : good.encode(value) };
  }],
  ["a decoder that runs out of stack, given what its encoder sent", "does not run out of stack", (good) => {
    const depth = (input: Uint8Array, at = 0): number => input[at] === 0x5b ? 1 + depth(input, at + 1) : 0;
    return {
      encode: (value) => JSON.stringify(value) ?? "",
      decode: (input) => depth(input) < 0 ? undefined : good.decode(input),
    };
  }],
  ["a decoder that merges keys into a prototype", "lets no key reach a prototype", (good) => ({
    decode(input) {
      const value = good.decode(input);
      return Object.hasOwn(Object(value), "__proto__")
        ? Object.create((value as Record<string, object>)["__proto__"])
        : value;
    },
  })],
];

for (const [what, caught, change] of WRONG) {
  Deno.test(`codecContract, catches ${what}`, () => {
    const cases = codecContract({ ...json(), ...change(json()) });
    const named = cases.filter(({ name }) => name.includes(caught));
    assertGreater(named.length, 0, `there is no case "${caught}"`);
    for (const { run } of named) assertThrows(run, Error);
  });
}

Deno.test("codecContract, says what it saw, when a value does not come back", () => {
  const [, roundTrip] = codecContract({ ...json(), decode: () => ({ wrong: 1n }) });
  assertStringIncludes(assertThrows(roundTrip.run, Error).message, 'Got {"wrong":"1n"} instead of');
});

Deno.test("codecContract, wants undefined refused, when it is not among the kinds", () => {
  const cases = codecContract(json(), { kinds: ["text"] });
  const [refuses] = cases.filter(({ name }) => name.includes("refuses to encode undefined"));
  assertThrows(refuses.run, Error, "Encoding undefined gave");
});
