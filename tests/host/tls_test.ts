/** Whole servers and clients over TLS: who gets in, who is told why not, and who stays when certificates change. */
import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { Client, type ClientOptions, RpcError, Server, type ServerOptions } from "@erpc/erpc";
import { TlsError } from "@erpc/erpc/extend";
import { Center } from "../../src/center/center.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { authority, pair } from "../support/certs.ts";
import { until } from "../support/until.ts";

const ca = [authority("ca")];
const guarded = { ...pair("server"), clientCa: authority("ca") };

async function open(options: ServerOptions): Promise<Server> {
  const server = new Server(options);
  server.handle("t.who", (_, ctx) => ctx.peer.identity ?? "nobody");
  await server.listen("tls://127.0.0.1:0");
  return server;
}

function who(server: Server, tls: ClientOptions["tls"]): Promise<string> {
  const client = new Client({ endpoints: [server.endpoint], tls });
  return client.call("t.who").finally(() => client.close());
}

Deno.test("H50 a server knows by its certificate who calls, and says why somebody is not let in", async () => {
  await using server = await open({
    tls: guarded,
    authenticate: ({ certificate }) => certificate?.dnsNames[0] ?? certificate?.subject,
  });
  assertEquals(await who(server, { ca, ...pair("client") }), "worker.example");
  const cases = [
    [{ ca }, "the client showed no certificate"],
    [{ ca, ...pair("client_expired") }, "the client's certificate expired"],
    [{ ca, ...pair("client_other_ca") }, "issued by nobody who is trusted here"],
    [{ ca, ...pair("client_as_server") }, "the client's certificate is not meant for clients"],
  ] as const;
  for (const [tls, why] of cases) {
    const error = await assertRejects(() => who(server, tls), RpcError, why);
    assertEquals([error.code, error.executed], ["unauthenticated", "no"]);
  }
  await until(() => server.stats().counters.handshakesFailed === cases.length);
});

Deno.test("H50 a certificate that was revoked is refused by whoever keeps the list", async () => {
  const revoked = new Set<string>();
  await using server = await open({
    tls: guarded,
    authenticate: ({ certificate }) => {
      if (revoked.has(certificate!.serialNumber)) throw new RpcError("unauthenticated", "the certificate was revoked");
      return revoked.add(certificate!.serialNumber) && "once";
    },
  });
  assertEquals(await who(server, { ca, ...pair("client") }), "once");
  const error = await assertRejects(() => who(server, { ca, ...pair("client") }), RpcError, "was revoked");
  assertEquals(error.code, "unauthenticated");
});

Deno.test("H50 a client that does not trust a server has a reason that programs can read", async () => {
  await using server = await open({ tls: pair("server") });
  const error = await assertRejects(() => who(server, { ca: [authority("other_ca")] }), RpcError);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertInstanceOf(error.cause, TlsError);
  assertEquals(error.cause.reason, "untrusted");
});

Deno.test("X33 another certificate is shown to new clients, and no call of the others is lost", async () => {
  await using server = await open({ tls: pair("server") });
  await using client = new Client({ endpoints: [server.endpoint], tls: { ca }, retry: false });
  let stop = false;
  let calls = 0;
  const calling = (async () => {
    while (!stop) {
      assertEquals(await client.call("t.who"), "nobody");
      calls++;
    }
  })();
  await until(() => calls > 10);
  assertThrows(() => server.replaceCertificate(pair("server_expired")), TypeError, "expired");
  server.replaceCertificate(pair("server_renewed"));
  const before = calls;
  await until(() => calls > before + 10);
  assertEquals(await who(server, { ca }), "nobody");
  stop = true;
  await calling;
  assertEquals(server.stats().counters.connectionsOpened, 2);
});

Deno.test("X33 a certificate can't be replaced where there is none", async () => {
  await using server = new Server();
  await server.listen("memory://no-tls");
  assertThrows(() => server.replaceCertificate(pair("server")), TypeError, "no tls:// endpoint");
});

Deno.test("tls: what can't be used is refused when the client or the server is made", async () => {
  assertThrows(() => new Client({ tls: { cert: pair("client").cert } }), TypeError, "without the other");
  assertThrows(() => new Server({ tls: { cert: "cert.pem", key: "key.pem" } }), TypeError, "not a path");
  await using server = new Server();
  await assertRejects(() => server.listen("tls://127.0.0.1:0"), TypeError, 'option "tls"');
});

Deno.test("tls: servers register with a center over TLS, and clients find them there", async () => {
  await using center = new Center({ tls: pair("server") });
  await center.listen("tls://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint, centerTls: { ca }, tls: pair("server") });
  server.handle("t.who", () => "found");
  await server.listen("tls://127.0.0.1:0");
  await using client = new Client({ center: center.endpoint, tls: { ca } });
  assertEquals(await client.call("t.who"), "found");
});

Deno.test("H2 tls: the handshake's time includes what TLS took", async () => {
  const platform = virtualPlatform(1);
  await using server = await open({ tls: pair("server"), platform, limits: { handshakeMs: 5_000 } });
  const url = new URL(server.endpoint.replace("tls:", "http:"));
  const tcp = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
  await until(() => platform.clock.timerCount > 0);
  await platform.clock.advance(4_000);
  const conn = await Deno.startTls(tcp, { hostname: "127.0.0.1", caCerts: ca });
  await conn.handshake();
  // What follows TLS has one second left.
  await until(() => platform.clock.timerCount > 0);
  const end = conn.read(new Uint8Array(8)).catch(() => null);
  await platform.clock.advance(1_200);
  assertEquals(await end, null);
  assertEquals(server.stats().counters.handshakesFailed, 1);
  conn.close();
});
