/**
 * What a message costs to encode and to decode, by codec and size, and why json() decodes as it does: beside it stand
 * the two obvious ways, a TextDecoder that checks and one that replaces. Ratios from one run mean something, times don't.
 */
import { bytes } from "../../src/codec/bytes.ts";
import { json } from "../../src/codec/json.ts";
import type { Codec } from "../../src/core/codec.ts";
import { msgpack } from "../../src/msgpack/msgpack.ts";

const ENCODER = new TextEncoder();
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });

/** The encoded message in the middle of a larger buffer, as it lies there when it arrives. */
function arrived(codec: Codec, message: unknown): Uint8Array {
  const encoded = codec.encode(message);
  const form = typeof encoded === "string" ? ENCODER.encode(encoded) : encoded;
  const buffer = new Uint8Array(form.length + 64 * 1024);
  buffer.set(form, 100);
  return buffer.subarray(100, 100 + form.length);
}

for (const size of [15, 24, 32, 33, 64, 100, 1_024, 65_536]) {
  const message = { name: "x".repeat(size - '{"name":""}'.length) };
  const [asJson, asMsgpack] = [arrived(json(), message), arrived(msgpack(), message)];

  const decode = `decode ${size} B of JSON`;
  Deno.bench(`${decode}: json()`, { group: decode, baseline: true }, () => void json().decode(asJson));
  Deno.bench(`${decode}: TextDecoder, fatal`, { group: decode }, () => JSON.parse(STRICT.decode(asJson)));
  Deno.bench(`${decode}: TextDecoder`, { group: decode }, () => JSON.parse(LENIENT.decode(asJson)));
  Deno.bench(`${decode}: msgpack(), the same message`, { group: decode }, () => void msgpack().decode(asMsgpack));
  Deno.bench(`${decode}: bytes(), the same bytes`, { group: decode }, () => void bytes().decode(asJson));

  const encode = `encode ${size} B of JSON`;
  Deno.bench(`${encode}: json()`, { group: encode, baseline: true }, () => void json().encode(message));
  Deno.bench(`${encode}: JSON.stringify`, { group: encode }, () => void JSON.stringify(message));
  Deno.bench(`${encode}: msgpack(), the same message`, { group: encode }, () => void msgpack().encode(message));
}

const records = Array.from(
  { length: 13 },
  (_, id) => ({ id, name: `user ${id}`, tags: ["a", "b"], at: { x: id, y: 2 } }),
);
for (const codec of [json(), msgpack()]) {
  const form = arrived(codec, records);
  const baseline = codec.name === "json";
  Deno.bench(`decode 13 records: ${codec.name}()`, { group: "decode", baseline }, () => void codec.decode(form));
  Deno.bench(`encode 13 records: ${codec.name}()`, { group: "encode", baseline }, () => void codec.encode(records));
}
