import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { formatEndpoint, isWildcardHost, parseEndpoint } from "../../src/transport/endpoint.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { pairs } from "../support/pairs.ts";

Deno.test("parseEndpoint takes apart what formatEndpoint puts together", () => {
  for (
    const text of [
      "tcp://127.0.0.1:7700",
      "tcp://localhost:0",
      "tcp://[::1]:65535",
      "tcp://[fe80::1%eth0]:1",
      "tls://a.b-c.example:443",
      "unix:///run/a.sock",
      "memory://name-1.x",
    ]
  ) assertEquals(formatEndpoint(parseEndpoint(text)), text);
});

Deno.test("H57 parseEndpoint refuses what can't be dialled, and says why", () => {
  const rows: [string, string][] = [
    ["", "write it as a URL"],
    ["127.0.0.1:7700", "write it as a URL"],
    ["http://a:1", 'no scheme "http"'],
    ["file:///etc/passwd", 'no scheme "file"'],
    ["tcp://a", "host:port"],
    ["tcp://:80", "host:port"],
    ["tcp://a:65536", "greater than 65535"],
    ["tcp://a:-1", "host:port"],
    ["tcp://a b:1", "host:port"],
    ["tcp://::1:80", "host:port"],
    ["tcp://u@h:80", "host:port"],
    ["tcp://h:80/path", "host:port"],
    [`tcp://${"a".repeat(10_000)}:1`, "longer than 253"],
    ["unix://relative", "absolute path"],
    [`unix:///${"a".repeat(200)}`, "longer than 107"],
    ["unix:///a\0b", "absolute path"],
    ["memory://", "a name"],
    ["memory://a/b", "a name"],
  ];
  for (const [text, why] of rows) assertThrows(() => parseEndpoint(text), TypeError, why);
  assertThrows(() => parseEndpoint(undefined as unknown as string), TypeError, "undefined");
});

Deno.test("isWildcardHost knows every way to say every address", () => {
  for (const host of ["0.0.0.0", "0", "00.0.0.0", "::", "0:0:0:0:0:0:0:0", "::0", "*", "::ffff:0.0.0.0"]) {
    assert(isWildcardHost(host), host);
  }
  for (const host of ["127.0.0.1", "::1", "10.0.0.0", "a", "0.example"]) assert(!isWildcardHost(host), host);
});

for (const [name, open] of pairs) {
  Deno.test(`transport, ${name}: bytes arrive in order, in pieces, and the end after them`, async () => {
    const [near, far] = await open();
    const sent = new Uint8Array(name.includes("sliced") ? 3_000 : 1_000_000).map((_, i) => i * 7);
    const writing = (async () => {
      for (let at = 0; at < sent.length;) at += await near.write(sent.subarray(at));
      await near.closeWrite();
    })();
    const got = new Uint8Array(sent.length);
    const buffer = new Uint8Array(4096);
    let at = 0;
    for (;;) {
      const count = await far.read(buffer);
      if (count === null) break;
      got.set(buffer.subarray(0, count), at);
      at += count;
    }
    await writing;
    assertEquals(at, sent.length);
    assertEquals(got, sent);
    near.close();
    near.close();
    far.close();
  });

  Deno.test(`transport, ${name}: close ends a read that is waiting`, async () => {
    const [near, far] = await open();
    const reading = near.read(new Uint8Array(8)).then(() => "ended", () => "ended");
    near.close();
    assertEquals(await reading, "ended");
    far.close();
  });

  Deno.test(`transport, ${name}: the other side sees the end when one closes`, async () => {
    const [near, far] = await open();
    near.close();
    assertEquals(await far.read(new Uint8Array(8)).catch(() => null), null);
    far.close();
  });
}

Deno.test("transport: an address in use, a refused connection and a wrong scheme reject", async () => {
  for (const endpoint of ["tcp://127.0.0.1:0", `unix://${Deno.makeTempDirSync()}/s`, "memory://taken"]) {
    const listener = await systemTransport.listen(endpoint);
    await assertRejects(() => systemTransport.listen(listener.endpoint));
    listener.close();
    listener.close();
    await assertRejects(() => listener.accept());
    await assertRejects(() => systemTransport.connect(listener.endpoint));
  }
  await assertRejects(() => systemTransport.connect("http://a"), TypeError);
});

Deno.test("transport: a socket file that nobody listens on is replaced, another file is not", async () => {
  const path = `${Deno.makeTempDirSync()}/s`;
  const first = Deno.listen({ transport: "unix", path });
  first.close();
  const listener = await systemTransport.listen(`unix://${path}`);
  listener.close();
  await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
  Deno.writeTextFileSync(path, "a letter");
  await assertRejects(() => systemTransport.listen(`unix://${path}`), Deno.errors.AlreadyExists);
  assertEquals(Deno.readTextFileSync(path), "a letter");
});

Deno.test("transport: a signal that has aborted dials nobody", async () => {
  await assertRejects(
    () => systemTransport.connect("tcp://127.0.0.1:9", { signal: AbortSignal.abort() }),
    DOMException,
  );
});
