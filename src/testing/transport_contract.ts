import { runtimePlatform } from "../core/platform.ts";
import { seededRandom } from "./seeded_random.ts";
import type { ByteConnection, ByteListener } from "../transport/byte_connection.ts";
import { parseEndpoint } from "../transport/endpoint.ts";
import type { ConnectOptions, ListenOptions } from "../transport/options.ts";
import type { Transport } from "../transport/transport.ts";
import { check, type ContractCase } from "./contract.ts";

/** What {@link transportContract} needs to know about a transport. */
export interface TransportSubject {
  /** Its name, for the cases. */
  readonly name: string;
  /** The transport. */
  readonly transport: Transport;
  /** Where to listen, such as `tcp://127.0.0.1:0`: an address that is free each time this is called. */
  endpoint(): string;
  /** How to listen, such as with a certificate. */
  readonly listenOptions?: ListenOptions;
  /** How to dial, such as with whom to trust. */
  readonly connectOptions?: ConnectOptions;
  /** What the dialling side is, where it is not `transport`. */
  readonly dialling?: Transport;
  /** Runs a case, where that takes more than calling it: a simulation runs what it drives. */
  run?(test: () => Promise<void>): Promise<void>;
  /** Waits, where time is not the runtime's. */
  sleep?(ms: number): Promise<void>;
}

/** As much as any transport may take that nobody reads. */
const MUCH_BYTES = 64 * 1024 * 1024;
/** How long a write must wait to be called stuck. */
const STUCK_MS = 200;

/**
 * What every transport must do, as named cases: what connections, servers and clients rely on.
 *
 * ```ts ignore
 * import { transportContract } from "@erpc/erpc/testing";
 *
 * const subject = { name: "mine", transport: myTransport(), endpoint: () => "tcp://127.0.0.1:0" };
 * for (const { name, run } of transportContract(subject)) Deno.test(name, run);
 * ```
 *
 * A case throws an `Error` that says what it saw. Cases may run in any order, and twice; each closes what it opens.
 */
export function transportContract(subject: TransportSubject): ContractCase[] {
  const { transport, dialling = transport, connectOptions, listenOptions } = subject;
  const sleep = subject.sleep ?? ((ms) => new Promise<void>((resolve) => runtimePlatform.clock.timer(ms, resolve)));
  const cases: ContractCase[] = [];
  const add = (name: string, test: () => Promise<void>) =>
    cases.push({ name: `transport ${subject.name}, ${name}`, run: () => subject.run?.(test) ?? test() });

  const listen = (endpoint = subject.endpoint()) => transport.listen(endpoint, listenOptions);
  const dial = (endpoint: string, signal?: AbortSignal) => dialling.connect(endpoint, { ...connectOptions, signal });

  /** Runs something with both ends of a connection, and closes them. */
  const withPair = async (test: (near: ByteConnection, far: ByteConnection) => Promise<void>) => {
    const listener = await listen();
    const [near, far] = await Promise.all([dial(listener.endpoint), listener.accept()]);
    try {
      await test(near, far);
    } finally {
      near.close();
      far.close();
      listener.close();
    }
  };

  add("carries bytes both ways at once, all of them, in order", () =>
    withPair(async (near, far) => {
      const [up, down] = [someBytes(300_000, 1), someBytes(200_000, 2)];
      const [gotUp, gotDown] = await Promise.all([
        readAll(far),
        readAll(near),
        writeAll(near, up).then(() => near.closeWrite()),
        writeAll(far, down).then(() => far.closeWrite()),
      ]);
      checkBytes(gotUp, up, "what was written by the side that dialled");
      checkBytes(gotDown, down, "what was written by the side that was dialled");
    }));

  add("carries a byte at a time", () =>
    withPair(async (near, far) => {
      const sent = someBytes(300, 3);
      const writing = (async () => {
        for (const byte of sent) await writeAll(near, new Uint8Array([byte]));
        await near.closeWrite();
      })();
      const got = await readAll(far, 1);
      await writing;
      checkBytes(got, sent, "what was written a byte at a time");
    }));

  add("leaves what is written to the writer, once write has resolved", () =>
    withPair(async (near, far) => {
      const sent = someBytes(50_000, 4);
      const writing = async () => {
        for (let at = 0; at < sent.length;) {
          const piece = sent.slice(at, at + 10_000);
          const count = await near.write(piece);
          check(count > 0 && count <= piece.length, `write resolved with ${count} for ${piece.length} bytes`);
          piece.fill(0xee);
          at += count;
        }
        await near.closeWrite();
      };
      const [got] = await Promise.all([readAll(far), writing()]);
      checkBytes(got, sent, "what was written, after the buffers were used again");
    }));

  add("touches only the bytes of a read's target that it counts", () =>
    withPair(async (near, far) => {
      await writeAll(near, new Uint8Array([1, 2, 3]));
      const target = new Uint8Array(16).fill(0xee);
      let count = 0;
      while (count < 3) {
        const read = await far.read(target.subarray(count, 8));
        check(read !== null && read > 0, `read resolved with ${read} where bytes were`);
        count += read;
      }
      check(target.subarray(0, 3).join() === "1,2,3", `3 bytes arrived as ${target.subarray(0, 3)}`);
      check(target.subarray(8).every((byte) => byte === 0xee), "read wrote behind its target");
    }));

  add("goes on in one direction when the other has ended", () =>
    withPair(async (near, far) => {
      await near.closeWrite();
      check(await far.read(new Uint8Array(1)) === null, "The end of one direction was not read as null");
      const sent = someBytes(10_000, 5);
      const [got] = await Promise.all([readAll(near), writeAll(far, sent).then(() => far.closeWrite())]);
      checkBytes(got, sent, "what was written after the other direction had ended");
    }));

  add("reads the end again and again", () =>
    withPair(async (near, far) => {
      await Promise.all([near.closeWrite(), far.closeWrite()]);
      for (const end of [near, far]) {
        for (let n = 0; n < 3; n++) {
          check(await end.read(new Uint8Array(9)) === null, `Read ${n} at the end gave bytes`);
        }
      }
    }));

  add("delivers what was written before close, and then the end", () =>
    withPair(async (near, far) => {
      const sent = someBytes(5_000, 6);
      const count = await near.write(sent);
      near.close();
      checkBytes(await readAll(far), sent.subarray(0, count), "what was written before close");
    }));

  add("ends a read that waits when it is closed itself", () =>
    withPair(async (near) => {
      const reading = near.read(new Uint8Array(8)).then((count) => `gave ${count}`, () => "ended");
      near.close();
      const outcome = await reading;
      check(outcome === "ended" || outcome === "gave null", `A read that waited ${outcome} when its side was closed`);
    }));

  add("ends a write that waits when it is closed itself", () =>
    withPair(async (near) => {
      const { outcome } = await writeUntilStuck(near, sleep);
      near.close();
      check(await outcome === "failed", "A write that waited did not fail when its side was closed");
    }));

  add("is closed twice without harm, and takes nothing any more", () =>
    withPair(async (near) => {
      near.close();
      near.close();
      check(await fails(near.write(new Uint8Array(1))), "A connection that was closed took bytes");
      const read = await near.read(new Uint8Array(1)).catch(() => null);
      check(read === null, "A connection that was closed gave bytes");
    }));

  add("makes writing wait while nobody reads, and go on when somebody does", () =>
    withPair(async (near, far) => {
      let wrote = 0;
      const { outcome } = await writeUntilStuck(near, sleep, (count) => wrote += count);
      let read = 0;
      const target = new Uint8Array(65_536);
      let over = false;
      void outcome.then(() => over = true);
      while (!over) read += await far.read(target) ?? 0;
      check(await outcome === "wrote", "A write that waited failed when the other side began to read");
      while (read < wrote) read += await far.read(target) ?? 0;
      check(read === wrote, `${read} bytes arrived of ${wrote}`);
    }));

  add("tells both sides who the other is", () =>
    withPair((near, far) => {
      for (const end of [near, far]) {
        for (const text of [end.local, end.remote]) parseEndpoint(text);
      }
      return Promise.resolve();
    }));

  add("keeps the bytes of many connections apart", async () => {
    const listener = await listen();
    const accepting = acceptMany(listener, 10);
    const nears = await Promise.all(Array.from({ length: 10 }, () => dial(listener.endpoint)));
    const fars = await accepting;
    const reading = Promise.all(fars.map((far) => readAll(far)));
    await Promise.all(nears.map(async (near, n) => {
      await writeAll(near, new Uint8Array(1_000).fill(n));
      await near.closeWrite();
    }));
    const seen = new Set<number>();
    for (const got of await reading) {
      check(got.length === 1_000 && got.every((byte) => byte === got[0]), "Bytes of two connections were mixed");
      seen.add(got[0]);
    }
    check(seen.size === 10, `${seen.size} of 10 connections were told apart`);
    for (const end of [...nears, ...fars]) end.close();
    listener.close();
  });

  add("says where it listens, so that others can dial it", async () => {
    const asked = subject.endpoint();
    const listener = await listen(asked);
    const real = parseEndpoint(listener.endpoint);
    check(real.scheme === parseEndpoint(asked).scheme, `${asked} became ${listener.endpoint}`);
    check(!("port" in real) || real.port > 0, `It listens on ${listener.endpoint}, which has no port`);
    listener.close();
  });

  add("rejects to listen where somebody does, and lets others once that has ended", async () => {
    const first = await listen();
    check(await fails(listen(first.endpoint)), `Two listen on ${first.endpoint}`);
    first.close();
    await sleep(0);
    const second = await listen(first.endpoint);
    second.close();
  });

  add("rejects to dial where nobody listens", async () => {
    const listener = await listen();
    const { endpoint } = listener;
    listener.close();
    await sleep(0);
    check(await fails(dial(endpoint)), `A dial of ${endpoint} succeeded, and nobody listens there`);
  });

  add("rejects accept once the listener is closed, also one that waits", async () => {
    const listener = await listen();
    const waiting = fails(listener.accept());
    listener.close();
    listener.close();
    check(await waiting, "An accept that waited gave a connection when its listener was closed");
    check(await fails(listener.accept()), "A listener that was closed accepts");
  });

  add("leaves connections open when their listener is closed", async () => {
    const listener = await listen();
    const [near, far] = await Promise.all([dial(listener.endpoint), listener.accept()]);
    listener.close();
    await writeAll(near, new Uint8Array([7]));
    const target = new Uint8Array(1);
    check(await far.read(target) === 1 && target[0] === 7, "A connection ended with the listener that accepted it");
    near.close();
    far.close();
  });

  add("dials nobody when the signal has aborted", async () => {
    const listener = await listen();
    check(await fails(dial(listener.endpoint, AbortSignal.abort())), "It dialled although the signal had aborted");
    listener.close();
  });

  add("rejects what is no endpoint", async () => {
    for (const text of ["", "tcp://", "nowhere", "tcp://a:70000"]) {
      check(await fails(dial(text)), `It dialled ${JSON.stringify(text)}`);
      check(await fails(transport.listen(text, listenOptions)), `It listens on ${JSON.stringify(text)}`);
    }
  });

  return cases;
}

function someBytes(size: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = random.u32();
  return bytes;
}

async function writeAll(connection: ByteConnection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function readAll(connection: ByteConnection, atOnce = 16_384): Promise<Uint8Array> {
  const target = new Uint8Array(atOnce);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const count = await connection.read(target);
    if (count === null) break;
    parts.push(target.slice(0, count));
    size += count;
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function checkBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  check(actual.length === expected.length, `Of ${what}, ${actual.length} of ${expected.length} bytes arrived`);
  const wrong = actual.findIndex((byte, at) => byte !== expected[at]);
  check(wrong === -1, `Of ${what}, byte ${wrong} arrived as ${actual[wrong]}, and was ${expected[wrong]}`);
}

/** Writes until a write waits; gives what becomes of that one. */
async function writeUntilStuck(
  connection: ByteConnection,
  sleep: (ms: number) => Promise<void>,
  wrote: (count: number) => void = () => {},
): Promise<{ outcome: Promise<"wrote" | "failed"> }> {
  const chunk = new Uint8Array(65_536);
  let total = 0;
  let still = false;
  const outcome = (async () => {
    try {
      while (total < MUCH_BYTES) {
        const count = await connection.write(chunk);
        total += count;
        wrote(count);
        if (still) return "wrote";
      }
      return "wrote";
    } catch {
      return "failed";
    }
  })();
  for (let quiet = 0, before = -1; quiet < 10;) {
    quiet = total === before ? quiet + 1 : 0;
    before = total;
    await sleep(STUCK_MS / 10);
  }
  still = true;
  check(total < MUCH_BYTES, `${MUCH_BYTES} bytes were taken that nobody reads`);
  return { outcome };
}

async function acceptMany(listener: ByteListener, count: number): Promise<ByteConnection[]> {
  const accepted: ByteConnection[] = [];
  while (accepted.length < count) accepted.push(await listener.accept());
  return accepted;
}

function fails(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(() => false, () => true);
}
