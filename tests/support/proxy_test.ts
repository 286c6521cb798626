import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { within } from "../../src/testing/contract.ts";
import { type Faults, type FaultyProxy, startProxy } from "./proxy.ts";
import { until } from "./until.ts";

const portOf = (endpoint: string) => Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
const dial = (endpoint: string) => Deno.connect({ hostname: "127.0.0.1", port: portOf(endpoint) });
const pattern = (size: number) => Uint8Array.from({ length: size }, (_, i) => i * 7);

/** A server that gives back what it gets, and what it has seen. */
function startEcho() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const seen = { bytes: 0, failures: [] as unknown[] };
  const running = new Set<Promise<void>>();
  const echo = async (conn: Deno.TcpConn) => {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let count; (count = await conn.read(buffer)) !== null;) {
        seen.bytes += count;
        await writeAll(conn, buffer.subarray(0, count));
      }
      await conn.closeWrite();
    } catch (error) {
      seen.failures.push(error);
    }
    conn.close();
  };
  let open = true;
  const accept = async () => {
    while (open) {
      // One that was reset before it was taken fails here.
      const conn = await listener.accept().catch(() => undefined);
      if (conn !== undefined) running.add(echo(conn));
    }
  };
  running.add(accept());
  return {
    endpoint: `tcp://127.0.0.1:${listener.addr.port}`,
    seen,
    async [Symbol.asyncDispose]() {
      open = false;
      listener.close();
      for (const one of running) await within(one, "a connection of the echo server to end");
    },
  };
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

interface Heard {
  /** What came. */
  readonly bytes: Uint8Array;
  /** In how many reads. */
  readonly reads: number;
  /** What reading ended with, or `undefined` when it was the end. */
  readonly failure: unknown;
}

async function readAll(conn: Deno.Conn): Promise<Heard> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(64 * 1024);
  let failure: unknown;
  try {
    for (let count; (count = await within(conn.read(buffer), "bytes or the end")) !== null;) {
      parts.push(buffer.slice(0, count));
    }
  } catch (error) {
    failure = error;
  }
  return { bytes: new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()), reads: parts.length, failure };
}

/** Sends bytes and the end, and gives what comes back. */
async function exchange(proxy: FaultyProxy, bytes: Uint8Array): Promise<Heard> {
  const conn = await dial(proxy.endpoint);
  const heard = readAll(conn);
  await writeAll(conn, bytes).then(() => conn.closeWrite()).catch(() => {});
  const result = await heard;
  conn.close();
  return result;
}

/** What comes back of `bytes` through a proxy with faults in one direction. */
async function through(
  direction: "up" | "down",
  faults: Faults,
  bytes: Uint8Array,
): Promise<Heard & { tookMs: number }> {
  await using echo = startEcho();
  await using proxy = await startProxy(echo.endpoint, { [direction]: faults });
  const started = performance.now();
  const heard = await exchange(proxy, bytes);
  return { ...heard, tookMs: performance.now() - started };
}

Deno.test("proxy without faults carries bytes and the end both ways", async () => {
  const bytes = pattern(1_000_000);
  assertEquals(await through("up", {}, new Uint8Array(0)).then(({ bytes }) => bytes.length), 0);
  const heard = await through("up", {}, bytes);
  assert(heard.failure === undefined && heard.bytes.length === bytes.length);
  assert(heard.bytes.every((byte, i) => byte === bytes[i]));
});

for (const direction of ["up", "down"] as const) {
  Deno.test(`proxy, slices ${direction}, the same bytes in many pieces`, async () => {
    const bytes = pattern(10_000);
    const heard = await through(direction, { sliceBytes: [1, 64] }, bytes);
    assertEquals(heard.bytes, bytes);
    assertGreater(heard.reads, 10);
  });

  Deno.test(`proxy, latency and jitter ${direction}, never early and in order`, async () => {
    const bytes = pattern(200_000);
    const heard = await through(direction, { latencyMs: 30, jitterMs: 5 }, bytes);
    assertEquals(heard.bytes, bytes);
    assertGreater(heard.tookMs, 29.9);
  });

  Deno.test(`proxy, bandwidth ${direction}, never faster`, async () => {
    const heard = await through(direction, { bytesPerSecond: 100_000 }, pattern(10_000));
    assertEquals(heard.bytes, pattern(10_000));
    assertGreater(heard.tookMs, 99);
  });

  Deno.test(`proxy, slow close ${direction}, the bytes come before the end`, async () => {
    const heard = await through(direction, { closeDelayMs: 40 }, pattern(10));
    assertEquals(heard.bytes, pattern(10));
    assertGreater(heard.tookMs, 39.9);
  });

  Deno.test(`proxy, limit ${direction}, so many bytes and the end`, async () => {
    const heard = await through(direction, { limitBytes: 700 }, pattern(1_000));
    assertEquals(heard.failure, undefined);
    if (direction === "down") assertEquals(heard.bytes, pattern(1_000).subarray(0, 700));
  });

  Deno.test(`proxy, reset ${direction}, so many bytes and a reset on both sides`, async () => {
    await using echo = startEcho();
    await using proxy = await startProxy(echo.endpoint, { [direction]: { resetAtByte: 700 } });
    const conn = await dial(proxy.endpoint);
    await writeAll(conn, pattern(100));
    // A connection that is reset before the server takes it never was there for it.
    await until(() => echo.seen.bytes === 100);
    await writeAll(conn, pattern(900));
    const { failure, bytes } = await readAll(conn);
    conn.close();
    assert(failure instanceof Deno.errors.ConnectionReset, `${failure}`);
    assert(bytes.length <= 700);
    await until(() => echo.seen.failures.length === 1);
    assert(echo.seen.failures[0] instanceof Deno.errors.ConnectionReset, `${echo.seen.failures[0]}`);
    if (direction === "up") assert(echo.seen.bytes <= 700);
  });

  Deno.test(`proxy, corruption ${direction}, one byte at its place`, async () => {
    const bytes = pattern(5_000);
    const heard = await through(direction, { corruptAtByte: 4_321, sliceBytes: [100, 900] }, bytes);
    assertEquals(heard.bytes.length, bytes.length);
    assertEquals([...heard.bytes.keys()].filter((i) => heard.bytes[i] !== bytes[i]), [4_321]);
  });
}

Deno.test("proxy, black hole, nothing arrives until it is lifted, on connections that are open", async () => {
  await using echo = startEcho();
  await using proxy = await startProxy(echo.endpoint);
  const conn = await dial(proxy.endpoint);
  const heard = readAll(conn);
  await writeAll(conn, pattern(10));
  await until(() => echo.seen.bytes === 10);
  proxy.set({ up: { blackhole: true } });
  await writeAll(conn, pattern(10));
  await conn.closeWrite();
  // As long as the same takes on the way beside it.
  const beside = await dial(echo.endpoint);
  await writeAll(beside, pattern(3));
  await beside.closeWrite();
  assertEquals((await readAll(beside)).bytes, pattern(3));
  beside.close();
  assertEquals(echo.seen.bytes, 13);
  proxy.set({ up: {} });
  assertEquals((await heard).bytes, new Uint8Array([...pattern(10), ...pattern(10)]));
  conn.close();
});

Deno.test("proxy, disabled, resets and refuses; enabled, is back at the same place", async () => {
  await using echo = startEcho();
  await using proxy = await startProxy(echo.endpoint);
  const { endpoint } = proxy;
  const conn = await dial(endpoint);
  await writeAll(conn, pattern(1));
  await until(() => echo.seen.bytes === 1);
  await proxy.disable();
  assert((await readAll(conn)).failure instanceof Deno.errors.ConnectionReset);
  conn.close();
  await assertRejects(() => dial(endpoint), Deno.errors.ConnectionRefused);
  await proxy.enable();
  assertEquals(proxy.endpoint, endpoint);
  assertEquals((await exchange(proxy, pattern(5))).bytes, pattern(5));
  assertEquals(proxy.accepted, 2);
});

Deno.test("proxy, toxicity, a share of the connections, the same for the same seed", async () => {
  await using echo = startEcho();
  const outcomes = async (seed: number) => {
    await using proxy = await startProxy(echo.endpoint, { down: { resetAtByte: 0, toxicity: 0.5 }, seed });
    let text = "";
    for (let i = 0; i < 20; i++) text += (await exchange(proxy, pattern(1))).failure === undefined ? "o" : "x";
    return text;
  };
  const first = await outcomes(7);
  assertEquals(await outcomes(7), first);
  const struck = [...first].filter((one) => one === "x").length;
  assert(struck >= 4 && struck <= 16, first);
});

Deno.test("proxy, a target that is gone, resets whoever dials", async () => {
  const { endpoint } = await (async () => {
    await using echo = startEcho();
    return echo;
  })();
  await using proxy = await startProxy(endpoint);
  assert((await exchange(proxy, pattern(1))).failure instanceof Deno.errors.ConnectionReset);
  await until(() => proxy.connections === 0);
});
