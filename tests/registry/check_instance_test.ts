import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkInstance } from "../../src/registry/check_instance.ts";
import type { Instance } from "../../src/registry/instance.ts";
import { instanceOf } from "./instances.ts";

Deno.test("checkInstance, an instance at every limit, same in a frozen copy", () => {
  const instance = instanceOf("i".repeat(200), {
    incarnation: Number.MAX_SAFE_INTEGER,
    endpoints: [
      "tcp://10.0.0.7:1",
      "tls://host-1.example.org:65535",
      "tcp://[::1]:4000",
      "tcp://[fd00::7]:4000",
      "tcp://1.169.254.1:80",
      "unix:///run/erpc/a.sock",
      "memory://words",
      `unix:///${"p".repeat(504)}`,
      ...Array.from({ length: 8 }, (_, n) => `tcp://h${n}:4000`),
    ],
    services: ["__proto__", "constructor", ...Array.from({ length: 998 }, (_, n) => `demo.S${n}`)],
    zone: "z".repeat(100),
    weight: 1e6,
    version: "v".repeat(100),
    metadata: Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`key${n + 10}`, "x".repeat(123)])),
  });
  const checked = checkInstance(instance);
  assertEquals({ ...checked, metadata: { ...checked.metadata } }, instance);
  assert(checked !== instance);
  for (const part of [checked, checked.endpoints, checked.services, checked.metadata]) assert(Object.isFrozen(part));
});

Deno.test("checkInstance, an instance with as little as possible, fits", () => {
  assertEquals(checkInstance(instanceOf("a", { incarnation: 0, weight: 0 })).incarnation, 0);
});

Deno.test("checkInstance, members that no instance has, left out", () => {
  const more: Instance & { secret: string } = { ...instanceOf("a"), secret: "s" };
  assertEquals("secret" in checkInstance(more), false);
});

Deno.test("H38 checkInstance, metadata with names of prototypes, kept as they are and reach nothing", () => {
  const metadata = JSON.parse('{"__proto__":"one","constructor":"two","toString":"three"}');
  const checked = checkInstance(instanceOf("a", { metadata })).metadata;
  assertEquals(Object.keys(checked), ["__proto__", "constructor", "toString"]);
  assertEquals([checked["__proto__"], checked["constructor"], checked["hasOwnProperty"]], ["one", "two", undefined]);
  assertEquals("polluted" in {}, false);
});

const unreachable = [
  "tcp://0.0.0.0:4000",
  "tls://0.0.0.0:4000",
  "tcp://0:4000",
  "tcp://0x0:4000",
  "tcp://000.000.000.000:4000",
  "tcp://0.0:4000",
  "tcp://[::]:4000",
  "tcp://[0::0]:4000",
  "tcp://[0:0:0:0:0:0:0:0]:4000",
  "tcp://[::0.0.0.0]:4000",
  "tcp://[::ffff:0.0.0.0]:4000",
  "tcp://0.0.0.7:4000",
  "tcp://169.254.169.254:80",
  "tcp://2852039166:80",
  "tcp://0xA9FEA9FE:80",
  "tcp://0251.0376.0251.0376:80",
  "tcp://[::ffff:169.254.169.254]:80",
  "tcp://[::a9fe:a9fe]:80",
  "tls://169.254.10.1:4000",
  "tcp://[fe80::1]:4000",
  "tcp://[FEBF::1]:4000",
  "tcp://224.0.0.1:4000",
  "tcp://239.255.255.255:4000",
  "tcp://255.255.255.255:4000",
  "tcp://[ff02::1]:4000",
];

for (const endpoint of unreachable) {
  Deno.test(`H57 checkInstance, ${endpoint}, refused since others can't reach it`, () => {
    assertThrows(() => checkInstance(instanceOf("a", { endpoints: [endpoint] })), TypeError, "others can reach");
  });
}

const wrong: [string, Record<string, unknown>, string][] = [
  ["H57 port 0", { endpoints: ["tcp://10.0.0.7:0"] }, "port from 1 to 65535"],
  ["H57 port 00000", { endpoints: ["tcp://10.0.0.7:00000"] }, "port from 1 to 65535"],
  ["H57 port 65536", { endpoints: ["tcp://10.0.0.7:65536"] }, "port from 1 to 65535"],
  ["H57 a negative port", { endpoints: ["tcp://10.0.0.7:-1"] }, "port from 1 to 65535"],
  ["H57 no port", { endpoints: ["tcp://10.0.0.7"] }, "port from 1 to 65535"],
  ["H57 no host", { endpoints: ["tcp://:4000"] }, "a host"],
  ["H57 an address of five numbers", { endpoints: ["tcp://1.2.3.4.5:80"] }, "a host"],
  ["H57 an address over 255", { endpoints: ["tcp://256.0.0.1:80"] }, "a host"],
  ["H57 an IPv6 address without brackets", { endpoints: ["tcp://::1:80"] }, "a host"],
  ["H57 an IPv6 zone", { endpoints: ["tcp://[fe80::1%eth0]:4000"] }, "a host"],
  ["H57 credentials", { endpoints: ["tcp://me:pw@10.0.0.7:4000"] }, "a host"],
  ["H57 something behind the port", { endpoints: ["tcp://10.0.0.7:4000/x"] }, "a host"],
  ["H57 another scheme", { endpoints: ["file:///etc/passwd"] }, "tcp, tls, unix or memory URL"],
  ["H57 a web address", { endpoints: ["http://169.254.169.254/latest"] }, "tcp, tls, unix or memory URL"],
  ["H57 no scheme", { endpoints: ["10.0.0.7:4000"] }, "tcp, tls, unix or memory URL"],
  ["H57 upper case", { endpoints: ["TCP://10.0.0.7:4000"] }, "tcp, tls, unix or memory URL"],
  ["H57 a blank", { endpoints: ["unix:///a b"] }, "tcp, tls, unix or memory URL"],
  ["H57 a zero byte", { endpoints: ["unix:///a\0b"] }, "tcp, tls, unix or memory URL"],
  ["H57 an empty path", { endpoints: ["unix://"] }, "tcp, tls, unix or memory URL"],
  ["H57 a host of 10 KiB", { endpoints: [`tcp://${"h".repeat(10_240)}:80`] }, "at most 512 characters"],
  ["H57 no endpoints", { endpoints: [] }, "a list of 1 to 16"],
  ["H57 17 endpoints", { endpoints: Array(17).fill("tcp://h:1") }, "a list of 1 to 16"],
  ["H57 one bad endpoint of two", { endpoints: ["tcp://h:1", "tcp://h:0"] }, '"tcp://h:0"'],
  ["an endpoint that is no text", { endpoints: [4000] }, "4000"],
  ["endpoints in a text", { endpoints: "tcp://h:1" }, "a list of 1 to 16"],
  ["H59 weight -1", { weight: -1 }, "a number from 0 to 1000000"],
  ["H59 weight NaN", { weight: NaN }, "NaN"],
  ["H59 weight Infinity", { weight: Infinity }, "Infinity"],
  ["H59 weight 1e308", { weight: 1e308 }, "1e+308"],
  ["H59 a weight in a text", { weight: "1" }, '"1"'],
  ["no id", { id: "" }, "1 to 200 characters"],
  ["a long id", { id: "i".repeat(201) }, "1 to 200 characters"],
  ["a line break in the id", { id: "a\nb" }, "control characters"],
  ["an escape of C1 in the id", { id: "a\u009bb" }, "control characters"],
  ["half a character in the id", { id: "a\ud800" }, "its id"],
  ["an id that is no text", { id: 5 }, "its id"],
  ["a negative incarnation", { incarnation: -1 }, "a whole number from 0"],
  ["a broken incarnation", { incarnation: 1.5 }, "a whole number from 0"],
  ["an incarnation that is not exact", { incarnation: 2 ** 53 }, "a whole number from 0"],
  ["no services", { services: [] }, "a list of 1 to 1000"],
  ["1,001 services", { services: Array(1001).fill("a") }, "a list of 1 to 1000"],
  ["a name that no service can have", { services: ["demo.Words", "*"] }, '"*"'],
  ["a service that is no text", { services: [null] }, "service name null"],
  ["a long zone", { zone: "z".repeat(101) }, "at most 100 characters"],
  ["a zone that is no text", { zone: null }, "its zone null"],
  ["a control character in the version", { version: "1\u001b[2J" }, "control characters"],
  ["no version", { version: undefined }, "its version undefined"],
  ["metadata that is no object", { metadata: "x" }, "an object of texts"],
  ["metadata that is a list", { metadata: [] }, "an object of texts"],
  ["no metadata", { metadata: null }, "an object of texts"],
  ["metadata that is no text", { metadata: { a: 1 } }, 'metadata "a" 1 must be text'],
  ["65 entries", { metadata: Object.fromEntries([...Array(65).keys()].map((n) => [n, ""])) }, "65 must be at most 64"],
  ["metadata over 8 KiB", { metadata: { a: "x".repeat(8192) } }, "8193 must be at most 8192"],
  ["metadata over 8 KiB as UTF-8", { metadata: { a: "漢".repeat(2731) } }, "8194 must be at most 8192"],
];

for (const [what, member, message] of wrong) {
  Deno.test(`checkInstance, ${what}, says so`.replace(/^(checkInstance, )(H\d+) /, "$2 $1"), () => {
    const instance = { ...instanceOf("a"), ...member } as Instance;
    const error = assertThrows(() => checkInstance(instance), TypeError, message);
    assert(error.message.length < 400, `the message has ${error.message.length} characters`);
  });
}

Deno.test("checkInstance, something that is no instance at all, says so", () => {
  for (const value of [null, undefined, "a", 5, 5n, Symbol("s"), () => {}]) {
    assertThrows(() => checkInstance(value as unknown as Instance), TypeError, "Cannot register");
  }
  assertThrows(() => checkInstance({} as Instance), TypeError, "its id");
  assertThrows(() => checkInstance([] as unknown as Instance), TypeError, "its id");
});
