import { assert, assertEquals, assertThrows } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { describeCertificate, isFor, readNames } from "../../src/transport/certificate.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { pair } from "../support/certs.ts";

const read = (name: string): X509Certificate => new X509Certificate(pair(name).cert);
const none = { dnsNames: [], uris: [], emails: [], ipAddresses: [], purposes: undefined };

Deno.test("readNames finds names and purposes", () => {
  assertEquals(readNames(read("server").raw), {
    ...none,
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1", "::1"],
    purposes: ["2b06010505070301"],
  });
  assertEquals(readNames(read("client").raw), {
    ...none,
    dnsNames: ["worker.example"],
    uris: ["spiffe://example.org/worker"],
    purposes: ["2b06010505070302"],
  });
});

Deno.test("describeCertificate keeps a comma in a name apart from a comma between names", () => {
  const described = describeCertificate(read("client_comma"));
  assertEquals(described.uris, ["spiffe://example.org/a, DNS:admin.example"]);
  assertEquals(described.dnsNames, ["worker.example"]);
  assertEquals(described.subject, "O=a\\,CN\\=admin,CN=worker\\, CN\\=admin");
  assertEquals(described.issuer, "CN=ca");
  assert(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(described.fingerprint), described.fingerprint);
  assert(/^[0-9A-F]+$/.test(described.serialNumber), described.serialNumber);
});

Deno.test("isFor matches names whatever their case, whole labels by a star, and addresses however they are written", () => {
  const names = {
    ...none,
    dnsNames: ["words.example", "*.words.example", "*.com", "*", "a*.example", "*.*.example", "10.0.0.1"],
    ipAddresses: ["10.9.8.7", "2001:db8::1"],
  };
  const rows: [string, boolean][] = [
    ["words.example", true],
    ["WORDS.Example.", true],
    ["a.words.example", true],
    ["a.b.words.example", false],
    [".words.example", false],
    ["xwords.example", false],
    ["example", false],
    ["a.com", false],
    ["com", false],
    ["a1.example", false],
    ["a.b.example", false],
    ["10.9.8.7", true],
    ["10.9.8.8", false],
    ["10.0.0.1", false],
    ["2001:db8::1", true],
    ["2001:DB8:0:0:0:0:0:1", true],
    ["2001:db8::2", false],
    ["", false],
  ];
  for (const [host, is] of rows) assertEquals(isFor(names, host), is, host);
  assertEquals(isFor(none, "words.example"), false);
});

Deno.test("readNames refuses every certificate that was cut off, and never reads beyond the end", () => {
  const { raw } = read("client");
  for (let length = 0; length < raw.length; length++) {
    assertThrows(() => readNames(raw.subarray(0, length)), TypeError, "malformed", `${length} bytes`);
  }
  assertThrows(() => readNames(new Uint8Array([...raw, 0])), TypeError, "malformed");
});

Deno.test("readNames reads or refuses bytes that were changed", () => {
  const seed = 20260801;
  const random = seededRandom(seed);
  const { raw } = read("client");
  for (let round = 0; round < 5_000; round++) {
    const changed = new Uint8Array(raw);
    for (let times = 0; times <= round % 3; times++) changed[random.u32() % changed.length] = random.u32();
    try {
      readNames(changed);
    } catch (error) {
      assert(error instanceof TypeError, `seed ${seed}, round ${round}: ${error}`);
    }
  }
});
