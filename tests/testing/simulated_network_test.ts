/** What bytes go through on the network of a simulation. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { type LinkOptions, Simulation } from "@erpc/erpc/testing";
import type { ByteConnection } from "../../src/transport/byte_connection.ts";

/** Both ends of a connection between two nodes. */
function joined(
  link: LinkOptions,
  test: (near: ByteConnection, far: ByteConnection, world: Simulation) => Promise<void>,
  seed = 1,
): Promise<void> {
  const world = new Simulation({ seed, link });
  return world.run(async () => {
    const [here, there] = [world.node("here"), world.node("there")];
    const [a, b] = [await here.start((context) => context), await there.start((context) => context)];
    const listener = await b.transport.listen("tcp://there:1");
    const [near, far] = await Promise.all([a.transport.connect("tcp://there:1"), listener.accept()]);
    await test(near, far, world);
    for (const one of [near, far, listener]) one.close();
  });
}

async function write(connection: ByteConnection, bytes: number): Promise<void> {
  for (let at = 0; at < bytes;) at += await connection.write(new Uint8Array(bytes - at));
}

Deno.test("segments have sizes in their range, and coalesce says whether reads put them together", async () => {
  for (const [coalesce, most] of [[0, 50], [1, 1_000]] as const) {
    await joined({ segmentBytes: [10, 50], coalesce }, async (near, far, world) => {
      await write(near, 1_000);
      await world.sleep(100);
      const sizes: number[] = [];
      const target = new Uint8Array(2_000);
      for (let got = 0; got < 1_000;) {
        sizes.push(await far.read(target) ?? 0);
        got += sizes.at(-1)!;
      }
      assert(sizes.every((size) => size <= most), sizes.join());
      if (coalesce === 1) assertEquals(sizes, [1_000]);
      else assertGreater(sizes.length, 20);
    });
  }
});

Deno.test("latency is never less than it is said to be, and nothing overtakes", async () => {
  await joined({ latencyMs: 30, jitterMs: 100 }, async (near, far, world) => {
    for (let n = 0; n < 50; n++) {
      const sentAt = world.now;
      await near.write(new Uint8Array([n]));
      const target = new Uint8Array(1);
      await far.read(target);
      assertEquals(target[0], n);
      assertGreater(world.now - sentAt, 29.9);
    }
  });
});

Deno.test("a connection holds no more than its capacity, and partial writes take less than there is room for", async () => {
  await joined({ capacityBytes: 100, partialWrites: 0 }, async (near) => {
    assertEquals(await near.write(new Uint8Array(1_000)), 100);
  });
  const counts = new Set<number>();
  for (let seed = 1; seed <= 20; seed++) {
    await joined({ capacityBytes: 100, partialWrites: 1 }, async (near) => {
      counts.add(await near.write(new Uint8Array(1_000)));
    }, seed);
  }
  assertGreater(counts.size, 10);
  assert(Math.max(...counts) <= 100 && Math.min(...counts) >= 1);
});

Deno.test("a stall holds up what is behind it, too", async () => {
  await joined({ stalls: 1, stallMs: 5_000 }, async (near, far, world) => {
    await near.write(new Uint8Array(1));
    await near.write(new Uint8Array(1));
    await far.read(new Uint8Array(1));
    await far.read(new Uint8Array(1));
    assertGreater(world.now, 500);
  });
});

Deno.test("bits flip, one in each segment that is hit", async () => {
  await joined({ bitFlips: 1 }, async (near, far) => {
    for (let n = 0; n < 20; n++) {
      await near.write(new Uint8Array(10));
      const target = new Uint8Array(10);
      await far.read(target);
      const bits = target.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
      assertEquals(bits, 1);
    }
  });
});

Deno.test("closing with something unread resets the other side, closing without does not", async () => {
  for (const [unread, ending] of [[true, "ConnectionReset"], [false, "null"]] as const) {
    await joined({}, async (near, far, world) => {
      if (unread) {
        await near.write(new Uint8Array(10));
        await world.sleep(10);
      }
      far.close();
      assertEquals(await near.read(new Uint8Array(1)).then(String, (error) => error.name), ending);
    });
  }
});

Deno.test("writing to a side that has closed is answered with a reset", async () => {
  await joined({}, async (near, far, world) => {
    far.close();
    await world.sleep(10);
    await near.write(new Uint8Array(1));
    await world.sleep(10);
    assertEquals(await near.write(new Uint8Array(1)).then(String, (error) => error.name), "ConnectionReset");
  });
});
