import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { connect as nodeConnect, createServer as nodeServer } from "node:tls";
import { type Clock, runtimePlatform } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import type { ByteConnection, ByteListener } from "../../src/transport/byte_connection.ts";
import type { ConnectOptions, ListenOptions } from "../../src/transport/options.ts";
import { TlsError, type TlsReason } from "../../src/transport/tls_error.ts";
import type { TlsClientOptions, TlsServerOptions } from "../../src/transport/tls_options.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { authority, pair } from "../support/certs.ts";

const ANY = "tls://127.0.0.1:0";
const ca = [authority("ca")];
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Asks for certificates of the one authority. */
const guarded: TlsServerOptions = { ...pair("server"), clientCa: authority("ca") };

function listen(options: ListenOptions = { tls: pair("server") }): Promise<ByteListener> {
  return systemTransport.listen(ANY, options);
}

function dial(endpoint: string, options: ConnectOptions = { tls: { ca } }): Promise<ByteConnection> {
  return systemTransport.connect(endpoint, options);
}

function portOf({ endpoint }: ByteListener): number {
  return Number(new URL(endpoint.replace("tls:", "http:")).port);
}

/** Dials the TCP port under a listener. */
function knock(listener: ByteListener): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: portOf(listener) });
}

async function send(conn: ByteConnection, text: string): Promise<void> {
  const bytes = bytesOf(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** What comes until the end, as text. */
async function textUntilEnd(conn: { read(target: Uint8Array): Promise<number | null> }): Promise<string> {
  const buffer = new Uint8Array(1024);
  const decoder = new TextDecoder();
  for (let text = "";;) {
    const count = await conn.read(buffer);
    if (count === null) return text;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}

/** Says something on one side and hears it on the other. */
async function assertCarries(from: ByteConnection, to: ByteConnection): Promise<void> {
  const buffer = new Uint8Array(16);
  await send(from, "still here");
  let got = "";
  while (got.length < 10) got += new TextDecoder().decode(buffer.subarray(0, (await to.read(buffer))!));
  assertEquals(got, "still here");
}

/** Waits for each of what a listener reports, in order. */
function failures(): { onFailure: (why: string) => void; next(): Promise<string> } {
  const seen: string[] = [];
  let wake = () => {};
  return {
    onFailure(why) {
      seen.push(why);
      wake();
    },
    async next() {
      while (seen.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return seen.shift()!;
    },
  };
}

/** The common name of the certificate that a server shows. */
function shownBy(listener: ByteListener): Promise<string> {
  const socket = nodeConnect({ host: "127.0.0.1", port: portOf(listener), ca });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let name = "";
  socket.on("secureConnect", () => {
    name = String(socket.getPeerCertificate().subject.CN);
    socket.destroy();
  });
  socket.on("error", reject);
  socket.on("close", () => resolve(name));
  return promise;
}

// What can't be used is refused where it is given, and no key is ever quoted.

const badServers: [string, unknown, string][] = [
  ["nothing", undefined, 'option "tls" with cert and key is missing'],
  ["no key", { cert: pair("server").cert }, "tls.key"],
  ["a path", { cert: "/etc/ssl/server.pem", key: pair("server").key }, "give the text, not a path"],
  [
    "a key as a certificate",
    { cert: pair("server").key, key: pair("server").key },
    "tls.cert: there is not a certificate",
  ],
  ["bytes", { cert: new Uint8Array(3), key: pair("server").key }, "tls.cert: it is a text"],
  ["another's key", { cert: pair("server").cert, key: pair("client").key }, "the key is not that of the certificate"],
  ["a broken certificate", {
    cert: pair("server").cert.replace(/\n[\w+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
    key: pair("server").key,
  }, "tls.cert: it can't be read"],
  ["a broken key", {
    cert: pair("server").cert,
    key: pair("server").key.replace(/\n[\w+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
  }, "tls.key: it can't be read"],
  ["a certificate that has expired", pair("server_expired"), "expired on Jan  1 00:00:00 2001"],
  ["a certificate that is not valid yet", pair("server_too_early"), "not valid before Jan  1 00:00:00 2125"],
  ["a misspelled option", { ...pair("server"), clientCA: authority("ca") }, 'option "clientCA"'],
  [
    "certificates required of nobody's authority",
    { ...pair("server"), requireClientCert: true },
    "without tls.clientCa",
  ],
  ["an authority that is none", { ...pair("server"), clientCa: "everybody" }, "tls.clientCa"],
  ["an authority that can't be read", {
    ...pair("server"),
    clientCa: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
  }, "tls.clientCa"],
];

for (const [what, tls, why] of badServers) {
  Deno.test(`tls: listening with ${what} is refused`, async () => {
    const error = await assertRejects(() => listen({ tls: tls as TlsServerOptions }), TypeError, why);
    assert(!/PRIVATE|[\w+/]{30}/.test(error.message), error.message);
  });
}

const badClients: [string, unknown, string][] = [
  ["a certificate without its key", { cert: pair("client").cert }, "without the other"],
  ["another's key", { cert: pair("client").cert, key: pair("server").key }, "the key is not that of the certificate"],
  ["one authority outside a list", { ca: authority("ca") }, "tls.ca: it is a list"],
  ["an authority that is a path", { ca: ["/etc/ssl/ca.pem"] }, "give the text, not a path"],
  ["a server name that is none", { serverName: "https://words.example" }, "tls.serverName"],
  ["a misspelled option", { caCerts: ca }, 'option "caCerts"'],
];

for (const [what, tls, why] of badClients) {
  Deno.test(`tls: dialling with ${what} is refused`, async () => {
    await assertRejects(() => dial("tls://127.0.0.1:9", { tls: tls as TlsClientOptions }), TypeError, why);
  });
}

// Whom a client trusts.

const distrusted: [string, TlsClientOptions, TlsReason, string][] = [
  ["server_expired", { ca }, "expired", "the server's certificate expired on Jan  1 00:00:00 2001 GMT"],
  ["server_too_early", { ca }, "not_yet_valid", "the server's certificate is not valid before"],
  ["server_other_ca", { ca }, "untrusted", "issued by nobody who is trusted here"],
  ["server", { ca: [authority("other_ca")] }, "untrusted", "issued by nobody who is trusted here"],
  ["server", {}, "untrusted", "issued by nobody who is trusted here"],
  ["server_as_client", { ca }, "wrong_purpose", "not meant for servers"],
  ["server_elsewhere", { ca }, "wrong_name", 'is not for "127.0.0.1" but for words.example, *.words.example, 10.9.8.7'],
  ["server_elsewhere", { ca, serverName: "localhost" }, "wrong_name", 'is not for "localhost"'],
  ["server", { ca, serverName: "words.example" }, "wrong_name", 'is not for "words.example"'],
];

for (const [name, tls, reason, text] of distrusted) {
  Deno.test(`H50 tls: a client does not trust ${name} with ${Object.keys(tls)}: ${reason}`, async () => {
    const server = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair(name) });
    const heard = server.accept().then(async (conn) => {
      const text = await textUntilEnd(conn).catch(() => "");
      conn.close();
      return text;
    });
    const error = await assertRejects(() => dial(`tls://127.0.0.1:${server.addr.port}`, { tls }), TlsError, text);
    assertEquals(error.reason, reason);
    assertEquals(await heard, "");
    server.close();
  });
}

for (const serverName of ["words.example", "a.words.example", "10.9.8.7"]) {
  Deno.test(`tls: serverName ${serverName} is what the certificate must have, not the host`, async () => {
    const listener = await listen({ tls: pair("server_elsewhere") });
    const [near, far] = await Promise.all([dial(listener.endpoint, { tls: { ca, serverName } }), listener.accept()]);
    await assertCarries(near, far);
    near.close();
    far.close();
    listener.close();
  });
}

Deno.test("tls: both ends name themselves and each other, and a name is dialled as well as an address", async () => {
  const listener = await listen();
  const near = await dial(`tls://localhost:${portOf(listener)}`);
  const far = await listener.accept();
  assertEquals([near.remote, far.local, far.remote], [
    `tls://localhost:${portOf(listener)}`,
    listener.endpoint,
    near.local,
  ]);
  assertEquals([near.peerCertificate, far.peerCertificate], [undefined, undefined]);
  near.close();
  far.close();
  listener.close();
});

Deno.test("tls: one who does not speak TLS is told from one who is not trusted", async () => {
  for (const answer of ["HTTP/1.1 400 Bad Request\r\n\r\n", ""]) {
    const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = server.accept().then(async (conn) => {
      await conn.read(new Uint8Array(4096));
      await conn.write(bytesOf(answer));
      conn.close();
    });
    const error = await assertRejects(() => dial(`tls://127.0.0.1:${server.addr.port}`), TlsError, "TLS failed");
    assertEquals(error.reason, "not_tls");
    await served;
    server.close();
  }
});

Deno.test("tls: a connection that is refused stays what it is", async () => {
  const error = await assertRejects(() => dial("tls://127.0.0.1:1"), Error, "ECONNREFUSED");
  assert(!(error instanceof TlsError));
});

Deno.test("tls: a signal ends dialling, before and during the handshake", async () => {
  await assertRejects(() => dial(ANY, { signal: AbortSignal.abort(new Error("too late")) }), Error, "too late");
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const dialling = dial(`tls://127.0.0.1:${server.addr.port}`, { signal: controller.signal, tls: { ca } });
  const conn = await server.accept();
  await conn.read(new Uint8Array(4096));
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => dialling, Error, "changed my mind");
  assertEquals(await conn.read(new Uint8Array(8)).catch(() => null), null);
  conn.close();
  server.close();
});

// Whom a server lets in.

const turnedAway: [string | undefined, string][] = [
  [undefined, "the client showed no certificate"],
  ["client_expired", "the client's certificate expired on Jan  1 00:00:00 2001 GMT"],
  ["client_too_early", "the client's certificate is not valid before"],
  ["client_other_ca", "issued by nobody who is trusted here"],
  ["client_as_server", "not meant for clients"],
];

for (const [name, why] of turnedAway) {
  Deno.test(`H50 tls: a client with ${name ?? "no certificate"} is told why it is not let in, and no other is`, async () => {
    const { onFailure, next } = failures();
    const listener = await listen({ tls: guarded, refusal: (why) => bytesOf(`refused: ${why}`), onFailure });
    const accepted = listener.accept();
    const near = await dial(listener.endpoint, { tls: { ca, ...(name === undefined ? {} : pair(name)) } });
    await send(near, "let me in");
    const told = await Promise.race([textUntilEnd(near), accepted.then(() => "it was let in")]);
    assertStringIncludes(told, why);
    near.close();
    assertEquals(told, `refused: ${await next()}`);
    const good = await dial(listener.endpoint, { tls: { ca, ...pair("client") } });
    const far = await accepted;
    assertEquals(far.peerCertificate?.uris, ["spiffe://example.org/worker"]);
    await assertCarries(good, far);
    good.close();
    far.close();
    listener.close();
  });
}

Deno.test("tls: who a client is stands on its connection", async () => {
  const listener = await listen({ tls: guarded });
  const near = await dial(listener.endpoint, { tls: { ca, ...pair("client") } });
  const far = await listener.accept();
  const { fingerprint, serialNumber, ...rest } = far.peerCertificate!;
  assertEquals(rest, {
    subject: "O=Example,CN=worker 7",
    issuer: "CN=ca",
    dnsNames: ["worker.example"],
    uris: ["spiffe://example.org/worker"],
    emails: [],
    ipAddresses: [],
  });
  assertEquals([fingerprint.length, serialNumber.length > 0], [95, true]);
  near.close();
  far.close();
  listener.close();
});

Deno.test("tls: where no certificate is required, one that is shown must still be good", async () => {
  const { onFailure, next } = failures();
  const listener = await listen({ tls: { ...guarded, requireClientCert: false }, onFailure });
  const without = await dial(listener.endpoint);
  const far = await listener.accept();
  assertEquals(far.peerCertificate, undefined);
  const bad = await dial(listener.endpoint, { tls: { ca, ...pair("client_other_ca") } });
  const accepted = listener.accept().then(() => "it was let in", () => "nobody came");
  assertEquals(await Promise.race([textUntilEnd(bad), accepted]), "");
  bad.close();
  assertStringIncludes(await next(), "nobody who is trusted");
  without.close();
  far.close();
  listener.close();
  assertEquals(await accepted, "nobody came");
});

Deno.test("tls: a certificate that nobody asked for is nobody's identity", async () => {
  const listener = await listen();
  const near = await dial(listener.endpoint, { tls: { ca, ...pair("client") } });
  const far = await listener.accept();
  assertEquals(far.peerCertificate, undefined);
  near.close();
  far.close();
  listener.close();
});

Deno.test("tls: the alert of another server that requires a certificate has its reason", async () => {
  const server = nodeServer({ ...pair("server"), ca, requestCert: true, rejectUnauthorized: true });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const near = await dial(`tls://127.0.0.1:${(server.address() as { port: number }).port}`);
  const error = await assertRejects(() => near.read(new Uint8Array(8)), TlsError, "CertificateRequired");
  assertEquals(error.reason, "missing");
  near.close();
  server.close();
});

// A session that is resumed is not checked by the runtime, and the runtime has the same sessions for all listeners.

const openssl = await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).output()
  .then(({ success }) => success, () => false);

/** What a listener says to a client that keeps its session in `file`, and whether it resumed one from there. */
async function visit(
  listener: ByteListener,
  name: string | undefined,
  version: string,
  keep: "-sess_out" | "-sess_in",
  file: string,
): Promise<{ heard: string; resumed: boolean }> {
  const certs = new URL("../support/certs/", import.meta.url).pathname;
  const shown = name === undefined ? [] : ["-cert", `${certs}${name}.pem`, "-key", `${certs}${name}.pem`];
  const { stdout } = await new Deno.Command("openssl", {
    args: ["s_client", "-connect", `127.0.0.1:${portOf(listener)}`, version, ...shown, keep, file, "-ign_eof"],
    stdin: "null",
    stderr: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  return { heard: /in: \w+|out: [\w ']+/.exec(text)?.[0] ?? "", resumed: /^Reused/m.test(text) };
}

for (const version of ["-tls1_2", "-tls1_3"]) {
  Deno.test({
    name: `tls: a session that is resumed lets in those alone who were let in before, ${version}`,
    ignore: !openssl,
    async fn() {
      const refusal = (why: string) => bytesOf(`out: ${why}\n`);
      const loops: Promise<void>[] = [];
      const open = async (tls: TlsServerOptions): Promise<ByteListener> => {
        const listener = await listen({ tls, refusal });
        loops.push((async () => {
          for (;;) {
            const conn = await listener.accept().catch(() => undefined);
            if (conn === undefined) return;
            await send(conn, `in: ${conn.peerCertificate === undefined ? "nobody" : "somebody"}\n`);
            conn.close();
          }
        })());
        return listener;
      };
      const [first, second, everybodys] = await Promise.all([open(guarded), open(guarded), open(pair("server"))]);
      const file = await Deno.makeTempFile();
      const check = async (listener: ByteListener, name: string | undefined, resume: boolean, expected: string) => {
        const got = await visit(listener, name, version, resume ? "-sess_in" : "-sess_out", file);
        assertStringIncludes(got.heard, expected);
        assertEquals(got.resumed, resume);
      };
      await check(first, "client", false, "in: somebody");
      await check(first, "client", true, "in: somebody");
      await check(second, "client", true, "out: the client's certificate was not checked");
      await check(everybodys, "client", true, "in: nobody");
      first.replaceCertificate!({ ...guarded, clientCa: authority("other_ca") });
      await check(first, "client", true, "out: the client's certificate was not checked");
      await check(second, "client_other_ca", false, "out: the client's certificate was issued");
      await check(second, "client_other_ca", true, "out: the client's certificate was not checked");
      await check(everybodys, undefined, false, "in: nobody");
      await check(second, undefined, true, "out: the client showed no certificate");
      for (const listener of [first, second, everybodys]) listener.close();
      await Promise.all(loops);
      await Deno.remove(file);
    },
  });
}

// Another certificate.

Deno.test("X33 tls: another certificate is shown from now on, and connections that are open live on", async () => {
  const listener = await listen();
  const near = await dial(listener.endpoint);
  const far = await listener.accept();
  assertEquals(await shownBy(listener), "server");
  (await listener.accept()).close();
  listener.replaceCertificate!(pair("server_renewed"));
  assertEquals(await shownBy(listener), "server renewed");
  (await listener.accept()).close();
  await assertCarries(near, far);
  await assertCarries(far, near);
  near.close();
  far.close();
  listener.close();
});

Deno.test("X33 tls: a certificate that can't be used is refused, and the last good one stays", async () => {
  const listener = await listen();
  listener.replaceCertificate!(pair("server_renewed"));
  for (const [, tls, why] of badServers) {
    assertThrows(() => listener.replaceCertificate!(tls as TlsServerOptions), TypeError, why);
  }
  assertThrows(() => listener.replaceCertificate!(guarded), TypeError, "whether there is tls.clientCa");
  assertEquals(await shownBy(listener), "server renewed");
  (await listener.accept()).close();
  listener.close();
});

Deno.test("X33 tls: other authorities hold for those who connect from now on", async () => {
  const listener = await listen({ tls: guarded, refusal: bytesOf });
  const before = await dial(listener.endpoint, { tls: { ca, ...pair("client") } });
  const far = await listener.accept();
  listener.replaceCertificate!({ ...guarded, clientCa: authority("other_ca") });
  const old = await dial(listener.endpoint, { tls: { ca, ...pair("client") } });
  assertStringIncludes(await textUntilEnd(old), "nobody who is trusted");
  const other = await dial(listener.endpoint, { tls: { ca, ...pair("client_other_ca") } });
  const otherFar = await listener.accept();
  assertEquals(otherFar.peerCertificate?.issuer, "CN=other_ca");
  await assertCarries(before, far);
  for (const conn of [before, far, old, other, otherFar]) conn.close();
  listener.close();
});

// What a stranger can do.

Deno.test("H1 tls: what is no TLS is dropped at once, counted, and never accepted", async () => {
  const seed = 20260802;
  const random = seededRandom(seed);
  const { onFailure, next } = failures();
  const listener = await listen({ tls: pair("server"), onFailure });
  const accepted = listener.accept();
  const noise = Uint8Array.from({ length: 2_000 }, () => random.u32());
  noise[0] = 0;
  for (const bytes of [bytesOf("ERPC\x01"), bytesOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), noise]) {
    const conn = await knock(listener);
    await conn.write(bytes);
    // An alert, which is 7 bytes, and the end.
    const answer = await textUntilEnd(conn).catch(() => "");
    assert(answer.length <= 7, `seed ${seed}: ${answer.length} bytes came back`);
    conn.close();
    assert((await next()).length > 0);
  }
  const near = await dial(listener.endpoint);
  const far = await accepted;
  await assertCarries(near, far);
  near.close();
  far.close();
  listener.close();
});

/** Timers that a test lets fire; certificates are as old as they are. */
function timed(clock: VirtualClock): { clock: Clock } {
  return { clock: { now: () => clock.now(), wall: runtimePlatform.clock.wall, timer: clock.timer.bind(clock) } };
}

Deno.test("H2 tls: a handshake that takes too long is dropped, however its bytes trickle, and delays nobody", async () => {
  const clock = new VirtualClock();
  const { onFailure, next } = failures();
  const listener = await listen({ tls: pair("server"), ...timed(clock), onFailure });
  const [silent, slow] = [await knock(listener), await knock(listener)];
  const near = await dial(listener.endpoint);
  const far = await listener.accept();
  assertEquals(clock.timerCount, 2);
  // How a ClientHello of 512 bytes begins.
  for (const byte of [0x16, 3, 1, 2, 0]) {
    await slow.write(Uint8Array.of(byte));
    await clock.advance(980);
    await assertCarries(near, far);
  }
  assertEquals(clock.timerCount, 2);
  await clock.advance(100);
  assertEquals([await next(), await next()], ["it took over 5000 ms", "it took over 5000 ms"]);
  for (const conn of [silent, slow]) {
    assertEquals(await conn.read(new Uint8Array(8)).catch(() => null), null);
    conn.close();
  }
  await assertCarries(far, near);
  near.close();
  far.close();
  listener.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("H26 tls: where too many shake hands, the oldest makes room", async () => {
  const { onFailure, next } = failures();
  const listener = await listen({ tls: pair("server"), maxHandshakes: 2, onFailure });
  const strangers = [await knock(listener), await knock(listener), await knock(listener)];
  const near = await dial(listener.endpoint);
  const far = await listener.accept();
  for (const stranger of strangers.slice(0, 2)) {
    assertEquals(await next(), "more than 2 connections were shaking hands");
    assertEquals(await stranger.read(new Uint8Array(8)).catch(() => null), null);
  }
  await assertCarries(near, far);
  for (const conn of [...strangers, near, far]) conn.close();
  listener.close();
});

Deno.test("tls: a client that is turned away and stays is dropped when the time for handshakes is over", async () => {
  const clock = new VirtualClock();
  const { onFailure, next } = failures();
  const listener = await listen({ tls: guarded, refusal: bytesOf, ...timed(clock), onFailure });
  const near = await dial(listener.endpoint);
  const buffer = new Uint8Array(8);
  assert((await near.read(buffer))! > 0);
  assertEquals(clock.timerCount, 1);
  await clock.advance(5_000);
  assertStringIncludes(await next(), "it took over");
  near.close();
  listener.close();
});

/** How much goes into a connection until it takes no more: a writer that makes no progress for many turns waits. */
async function fill(conn: ByteConnection, most: number): Promise<{ written: () => number; stuck: Promise<unknown> }> {
  let written = 0;
  const stuck = (async () => {
    const bytes = new Uint8Array(65_536);
    while (written < most) written += await conn.write(bytes.subarray(0, most - written));
  })().catch((error) => error);
  for (let seen = -1, still = 0; still < 1_000 && written < most; still = seen === written ? still + 1 : 0) {
    seen = written;
    await runtimePlatform.turn();
  }
  return { written: () => written, stuck };
}

for (const direction of ["client to server", "server to client"]) {
  Deno.test(`tls: ${direction}, a writer waits for a reader, and nothing is lost`, async () => {
    const listener = await listen();
    const [near, far] = await Promise.all([dial(listener.endpoint), listener.accept()]);
    const [from, to] = direction === "client to server" ? [near, far] : [far, near];
    const most = 64 * 1024 * 1024;
    const { written, stuck } = await fill(from, most);
    assert(written() < most / 2, `${written()} bytes were taken with nobody reading`);
    const buffer = new Uint8Array(65_536);
    const closed = stuck.then(() => from.closeWrite());
    let read = 0;
    for (let count: number | null; (count = await to.read(buffer)) !== null;) read += count;
    assertEquals(read, most);
    await closed;
    await assertCarries(to, from);
    near.close();
    far.close();
    listener.close();
  });

  Deno.test(`tls: ${direction}, closing ends a write that is stuck`, async () => {
    const listener = await listen();
    const [near, far] = await Promise.all([dial(listener.endpoint), listener.accept()]);
    const from = direction === "client to server" ? near : far;
    const { stuck } = await fill(from, 64 * 1024 * 1024);
    from.close();
    assertInstanceOf(await stuck, Error);
    await assertRejects(() => from.write(new Uint8Array(1)), Error);
    await assertRejects(() => from.read(new Uint8Array(1)), Error);
    near.close();
    far.close();
    listener.close();
  });
}

Deno.test("tls: closing ends both directions", async () => {
  const listener = await listen();
  const [near, far] = await Promise.all([dial(listener.endpoint), listener.accept()]);
  near.close();
  assertEquals(await far.read(new Uint8Array(8)).catch(() => null), null);
  assertInstanceOf(await (await fill(far, 64 * 1024 * 1024)).stuck, Error);
  far.close();
  listener.close();
});

Deno.test("tls: closing a listener drops those who shake hands and wait, and leaves those who were accepted", async () => {
  const clock = new VirtualClock();
  const listener = await listen({ tls: pair("server"), ...timed(clock) });
  const near = await dial(listener.endpoint);
  const far = await listener.accept();
  const waiting = await dial(listener.endpoint);
  const silent = await knock(listener);
  // Seen by the listener, since it comes behind the other two.
  assertEquals(await shownBy(listener), "server");
  const accepted = listener.accept().then((conn) => conn.close());
  await accepted;
  const pending = listener.accept().then((conn) => conn.close());
  await pending;
  const late = listener.accept();
  listener.close();
  listener.close();
  await assertRejects(() => late, Error, "closed");
  await assertRejects(() => listener.accept(), Error, "closed");
  await assertRejects(() => dial(listener.endpoint), Error, "ECONNREFUSED");
  assertEquals(await silent.read(new Uint8Array(8)).catch(() => null), null);
  assertEquals(await waiting.read(new Uint8Array(8)).catch(() => null), null);
  await assertCarries(near, far);
  assertEquals(clock.timerCount, 0);
  for (const conn of [near, far, waiting, silent]) conn.close();
});

Deno.test("tls: an address that is taken is refused, and free once the listener was closed", async () => {
  const first = await listen();
  await assertRejects(() => systemTransport.listen(first.endpoint, { tls: pair("server") }), Error, "EADDRINUSE");
  first.close();
  const second = await systemTransport.listen(first.endpoint, { tls: pair("server") });
  assertEquals(second.endpoint, first.endpoint);
  second.close();
});
