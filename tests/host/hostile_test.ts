/** Peers that lie, stutter, flood and vanish. After each of them the same host still answers an honest client. */
import { assert, assertEquals } from "@std/assert";
import { Client, clientStream, service } from "@erpc/erpc";
import type { Limits } from "../../src/core/limits.ts";
import { Host } from "../../src/host/host.ts";
import { Flag, Kind, PREFACE } from "../../src/protocol/frame.ts";
import { UNNUMBERED } from "../../src/protocol/open.ts";
import { readStatus, Status } from "../../src/protocol/status.ts";
import { readReset } from "../../src/protocol/control.ts";
import { GoAwayCode } from "../../src/protocol/violation.ts";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { processMemory } from "../../src/transport/memory.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { type Frame, frame, helloFrame, openFrame, readerOf, ScriptedPeer, u32 } from "../support/scripted_peer.ts";

interface Stage {
  readonly host: Host;
  readonly clock: VirtualClock;
  /** How many handlers run, and have run at most. */
  readonly running: { now: number; most: number };
  /** Lets the handlers of `t/wait` end. */
  release(): void;
  dial(): ScriptedPeer;
}

let stages = 0;

/** Runs a scene against a host in virtual time, and sees that the host is well afterwards. */
function scene(name: string, play: (stage: Stage) => Promise<void>, limits?: Partial<Limits>): void {
  Deno.test(name, async () => {
    const platform = virtualPlatform(1);
    const host = new Host({ limits, platform });
    const running = { now: 0, most: 0 };
    let waiting: (() => void)[] = [];
    const release = () => {
      for (const go of waiting) go();
      waiting = [];
    };
    host.handle("t.echo", (message) => message);
    host.handle("t.wait", async () => {
      running.most = Math.max(running.most, ++running.now);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running.now--;
    });
    const Streams = service("t.Streams", { swallow: clientStream<number, number>() });
    host.handle(Streams, { swallow: () => new Promise<number>(() => {}) });
    const endpoint = `memory://hostile-${++stages}`;
    await host.listen(endpoint);
    const peers: ScriptedPeer[] = [];
    const dial = () => {
      const peer = new ScriptedPeer(processMemory.connect(endpoint.slice("memory://".length)));
      peers.push(peer);
      return peer;
    };
    await play({ host, clock: platform.clock, running, release, dial });
    const client = new Client({ endpoints: [endpoint], platform });
    assertEquals(await client.call("t.echo", "still well"), "still well");
    await client.close();
    release();
    for (const peer of peers) peer.close();
    await host.close();
  });
}

function statusOf(end: Frame): Status {
  const status = new Status();
  readStatus(readerOf(end), status, DEFAULT_LIMITS);
  return status;
}

const text = (bytes: string) => new TextEncoder().encode(bytes);

for (
  const [what, bytes] of [
    ["an HTTP request", text("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["a TLS hello", new Uint8Array([22, 3, 1, 0, 200, 1])],
    ["random bytes", new Uint8Array([7, 200, 13, 0, 255])],
    ["a magic that ends wrong", new Uint8Array([0xe5, 0x52, 0x50, 0x44])],
    ["one wrong byte", new Uint8Array([0xe4])],
  ] as [string, Uint8Array][]
) {
  scene(`H1 ${what} instead of the preface is dropped without a word`, async ({ dial }) => {
    const peer = dial();
    await peer.send(bytes);
    assertEquals(await peer.conn.read(new Uint8Array(9)).catch(() => null), null);
  });
}

scene(
  "H2 a peer that says nothing, or too slowly, is dropped when the handshake's time is over",
  async ({ dial, clock, host }) => {
    const [silent, slow] = [dial(), dial()];
    const hello = helloFrame();
    const bytes = new Uint8Array([...PREFACE, ...hello]);
    for (let second = 0; second < 5; second++) {
      await slow.send(bytes.subarray(second, second + 1));
      await clock.advance(900);
    }
    assertEquals(host.settings.counters.handshakesFailed, 0);
    await clock.advance(600);
    assertEquals([await silent.closed(), await slow.closed()], [undefined, undefined]);
    assertEquals(host.settings.counters.handshakesFailed, 2);
  },
);

for (const version of [0, 2, 255]) {
  scene(`H30 version ${version} is answered with the versions that are spoken`, async ({ dial }) => {
    const peer = dial();
    await peer.send(new Uint8Array([...PREFACE.subarray(0, 4), version]), helloFrame());
    assertEquals((await peer.next())?.kind, Kind.hello);
    assertEquals(await peer.closed(), GoAwayCode.version);
  });
}

scene("H3 before HELLO, a length over 16 KiB is refused on the header alone", async ({ dial }) => {
  const peer = dial();
  await peer.send(PREFACE, new Uint8Array([0, 0x40, 1, Kind.hello, 0, 0, 0, 0, 0]));
  assertEquals(await peer.closed(), GoAwayCode.frameTooLarge);
});

/** The same frame without the last bytes of its payload, and with a length that fits. */
function shortened(whole: Uint8Array): Uint8Array {
  const cut = whole.slice(0, -3);
  cut[2] -= 3;
  return cut;
}

/** What a peer that has said hello sends, and the code that it is closed with. */
const violations: [string, Uint8Array[], number][] = [
  [
    "H3 a length over the limit",
    [new Uint8Array([0xff, 0xff, 0xff, Kind.data, 0, 0, 0, 0, 1])],
    GoAwayCode.frameTooLarge,
  ],
  ["H5 an OPEN that is too short", [frame(Kind.open, 0, 1, new Uint8Array(3))], GoAwayCode.protocol],
  [
    "H5 an OPEN whose name is longer than the frame",
    [frame(Kind.open, 0, 1, new Uint8Array([0, 1, 0, 0, 9, 9]))],
    GoAwayCode.protocol,
  ],
  ["H5 a CREDIT that is too long", [frame(Kind.credit, 0, 0, new Uint8Array(5))], GoAwayCode.protocol],
  ["H5 a PING that is too short", [frame(Kind.ping, 0, 0, new Uint8Array(7))], GoAwayCode.protocol],
  [
    "H5 an END of the initiator that is not empty",
    [openFrame(1, "t/wait"), frame(Kind.end, 0, 1, "x")],
    GoAwayCode.protocol,
  ],
  ["H8 an unknown kind that may not be skipped", [frame(77, 0, 0, "x")], GoAwayCode.protocol],
  ["H8 kind 0", [frame(0, 0, 0)], GoAwayCode.protocol],
  ["H8 a flag that the kind can't have", [frame(Kind.ping, Flag.last, 0, new Uint8Array(8))], GoAwayCode.protocol],
  ["H8 too many frames that are skipped", Array(200).fill(frame(77, Flag.skippable, 0)), GoAwayCode.calm],
  ["H10 OPEN of stream 0", [openFrame(0, "t/echo")], GoAwayCode.protocol],
  ["H10 OPEN of an even stream", [openFrame(2, "t/echo")], GoAwayCode.protocol],
  ["H10 OPEN of the same stream twice", [openFrame(1, "t/echo"), openFrame(1, 0)], GoAwayCode.protocol],
  ["H10 OPEN with a gap", [openFrame(1, "t/echo"), openFrame(5, 0)], GoAwayCode.protocol],
  ["H10 OPEN of the last stream of all", [openFrame(2 ** 31 - 1, "t/echo")], GoAwayCode.protocol],
  ["H11 DATA on a stream that is idle", [frame(Kind.data, 0, 1, "1")], GoAwayCode.protocol],
  ["H11 END on a stream that is idle", [frame(Kind.end, 0, 1)], GoAwayCode.protocol],
  ["H11 RESET on a stream that is idle", [frame(Kind.reset, 0, 1, "\x01")], GoAwayCode.protocol],
  ["H11 CREDIT on a stream that is idle", [frame(Kind.credit, 0, 1, u32(1))], GoAwayCode.protocol],
  ["H11 END on a stream of the server that never was", [frame(Kind.end, 0, 2, "\0\0")], GoAwayCode.protocol],
  ["PING on a stream", [frame(Kind.ping, 0, 1, new Uint8Array(8))], GoAwayCode.protocol],
  ["H19 a second HELLO, whatever it would change", [helloFrame({ streamWindowBytes: 1 })], GoAwayCode.protocol],
  ["H16 a header that goes on in the next frame", [
    shortened(openFrame(1, "t/wait", "", {}, Flag.more)),
    frame(Kind.data, Flag.more, 1, "t/wait"),
  ], GoAwayCode.protocol],
  ["a procedure number that was never spelled", [openFrame(1, 5)], GoAwayCode.protocol],
  [
    "a spelled procedure whose number is not the next",
    [openFrame(1, "t/echo", "", { procedure: 3 })],
    GoAwayCode.protocol,
  ],
  ["metadata from an initiator", [openFrame(1, "t/wait"), frame(Kind.data, Flag.head, 1, u32(0))], GoAwayCode.protocol],
  ["H21 101 empty fragments", [
    openFrame(1, "t/wait", "", {}, Flag.more),
    ...Array(101).fill(frame(Kind.data, Flag.more, 1)),
  ], GoAwayCode.calm],
  ["H22 CREDIT of 0", [frame(Kind.credit, 0, 0, u32(0))], GoAwayCode.flowControl],
  ["H22 CREDIT beyond 2^31 − 1", [
    frame(Kind.credit, 0, 0, u32(2 ** 31 - 1)),
    frame(Kind.credit, 0, 0, u32(2 ** 31 - 1)),
  ], GoAwayCode.flowControl],
  ["H22 CREDIT in crumbs", Array(5_000).fill(frame(Kind.credit, 0, 0, u32(1))), GoAwayCode.calm],
  ["H28 GOAWAY that rises", [
    openFrame(1, "t/wait"),
    frame(Kind.goAway, 0, 0, new Uint8Array([0, 0, 0, 1, 0, 0, 0])),
    frame(Kind.goAway, 0, 0, new Uint8Array([0, 0, 0, 9, 0, 0, 0])),
  ], GoAwayCode.protocol],
  ["H17 a flood of pings", Array(10).fill(frame(Kind.ping, 0, 0, new Uint8Array(8))), GoAwayCode.tooManyPings],
  [
    "H18 a flood of answers to no ping",
    Array(200).fill(frame(Kind.ping, Flag.ack, 0, new Uint8Array(8))),
    GoAwayCode.calm,
  ],
  ["bytes without credit", [
    openFrame(1, "t.Streams/swallow", "", { kind: "clientStream" }),
    ...Array(10).fill(frame(Kind.data, 0, 1, "7".repeat(60_000))),
  ], GoAwayCode.flowControl],
];

for (const [name, bytes, code] of violations) {
  scene(`${name} closes the connection with its code`, async ({ dial, host }) => {
    const peer = await dial().greet();
    const [closed] = await Promise.all([peer.closed(), peer.send(...bytes)]);
    assertEquals(closed, code);
    assertEquals(host.settings.counters.violations, 1);
    assertEquals(host.connections, 0);
  });
}

scene("a violation behind many calls in one read is answered, and so are they", async ({ dial, host }) => {
  const peer = await dial().greet();
  const calls = Array.from({ length: 80 }, (_, n) => openFrame(1 + 2 * n, n === 0 ? "t/echo" : 0, "1"));
  const sent = peer.send(joined([...calls, frame(77, 0, 0, "x")]));
  let answers = 0;
  for (let frame; (frame = await peer.next())?.kind !== Kind.goAway;) if (frame?.kind === Kind.end) answers++;
  assertEquals(answers, 80);
  await sent;
  assertEquals(host.settings.counters.violations, 1);
});

scene("a long answer behind many calls in one read arrives", async ({ dial }) => {
  const peer = await dial().greet({ streamWindowBytes: 2 ** 20, connectionWindowBytes: 2 ** 20 });
  const long = openFrame(1, "t/echo", `"${"x".repeat(100_000)}"`);
  const calls = Array.from({ length: 31 }, (_, n) => openFrame(3 + 2 * n, 0, "1"));
  const sent = peer.send(joined([long, ...calls]));
  let bytes = 0;
  for (let ends = 0; ends < 32;) {
    const { kind, payload } = (await peer.next())!;
    if (kind === Kind.end) ends++;
    if (kind === Kind.data) bytes += payload.length;
  }
  assert(bytes > 60_000, `${bytes} bytes`);
  await sent;
});

scene("answers to many calls in one read leave in two writes, one for each half", async ({ dial, host }) => {
  const peer = await dial().greet({ streamWindowBytes: 2 ** 20, connectionWindowBytes: 2 ** 20 });
  // What comes in one read is what the buffer has room for: this makes it large.
  const large = peer.send(openFrame(1, "t/echo", `"${"x".repeat(60_000)}"`));
  for (let frame; (frame = await peer.next())?.kind !== Kind.end;) assert(frame !== undefined);
  await large;
  const before = host.settings.counters.writes;
  const sent = peer.send(joined(Array.from({ length: 256 }, (_, n) => openFrame(3 + 2 * n, 0, "1"))));
  for (let ends = 0; ends < 256;) if ((await peer.next())!.kind === Kind.end) ends++;
  await sent;
  assertEquals(host.settings.counters.writes - before, 2);
});

/** Several frames as one piece. */
function joined(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(frames.flatMap((frame) => [...frame]));
}

scene("H8 an unknown kind that may be skipped is passed over", async ({ dial, host }) => {
  const peer = await dial().greet();
  await peer.send(frame(200, Flag.skippable | 0x33, 7, "whatever"), openFrame(1, "t/echo", '"hi"'));
  assertEquals((await peer.expect(Kind.end)).stream, 1);
  assertEquals(host.settings.counters.framesSkipped, 1);
});

scene("H11 frames on a stream that has ended are passed over and paid back", async ({ dial }) => {
  const peer = await dial().greet();
  await peer.send(openFrame(1, "t/echo", "1"));
  await peer.expect(Kind.end);
  await peer.send(frame(Kind.reset, 0, 1, "\x01"), frame(Kind.credit, 0, 1, u32(5)), frame(Kind.end, 0, 1));
  // More than a whole window: it comes back.
  for (let i = 0; i < 40; i++) await peer.send(frame(Kind.data, 0, 1, "x".repeat(50_000)));
  await peer.send(openFrame(3, 0, "2"));
  assertEquals((await peer.expect(Kind.end)).stream, 3);
});

scene(
  "H13 early resets hold their places, and too many of them end the connection",
  async ({ dial, running, clock }) => {
    const peer = await dial().greet();
    const closed = peer.closed();
    let stream = 1;
    for (let sent = true; sent && stream < 8_000; stream += 2) {
      sent = await peer.send(
        stream === 1 ? openFrame(1, "t/wait") : openFrame(stream, 0),
        frame(Kind.reset, 0, stream, "\x01"),
      );
      if (stream % 101 === 0) await clock.advance(0);
    }
    assertEquals(await closed, GoAwayCode.calm);
    assert(running.most <= DEFAULT_LIMITS.maxStreams, `${running.most} handlers ran at once`);
  },
);

scene("H15 calls beyond the places are refused, far beyond them end the connection", async ({ dial, running }) => {
  const peer = await dial().greet();
  await peer.send(openFrame(1, "t/wait"), openFrame(3, 0), openFrame(5, 0), openFrame(7, 0));
  const refused = await peer.expect(Kind.reset);
  assertEquals([refused.stream, readReset(readerOf(refused)), running.now], [7, undefined, 3]);
  const closed = peer.closed();
  for (let stream = 9; stream < 300; stream += 2) await peer.send(openFrame(stream, 0));
  assertEquals(await closed, GoAwayCode.calm);
  assertEquals(running.most, 3);
}, { maxStreams: 3 });

scene(
  "a place is free when the handler has ended, not when the reset came",
  async ({ dial, running, release, clock }) => {
    const peer = await dial().greet();
    await peer.send(openFrame(1, "t/wait"), frame(Kind.reset, 0, 1, "\x01"), openFrame(3, 0));
    assertEquals((await peer.expect(Kind.reset)).stream, 3);
    release();
    await clock.advance(0);
    await peer.send(openFrame(5, 0));
    await clock.advance(0);
    assertEquals([running.now, running.most], [1, 1]);
  },
  { maxStreams: 1 },
);

scene(
  "calls for which there is no place are forgiven when they come in their own time",
  async ({ dial, clock, running }) => {
    const peer = await dial().greet();
    await peer.send(openFrame(1, "t/wait"));
    // As a client does that takes a call back whose handler goes on.
    for (let stream = 3; stream < 403; stream += 2) {
      await peer.send(openFrame(stream, 0));
      assertEquals((await peer.expect(Kind.reset)).stream, stream);
      await clock.advance(20);
    }
    assertEquals(running.most, 1);
  },
  { maxStreams: 1 },
);

scene("H20 a peer that does not read is closed when its answers pile up", async ({ dial, clock, host }) => {
  const peer = await dial().greet();
  // Calls between the pings, so that it is not their number that ends it.
  const flood = (async () => {
    for (let stream = 1; stream < 200_000; stream += 2) {
      const open = openFrame(stream, stream === 1 ? "t/echo" : 0, `"${"x".repeat(2_000)}"`);
      if (!await peer.send(open, frame(Kind.ping, 0, 0, new Uint8Array(8)))) return;
    }
  })();
  for (let round = 0; round < 1_000 && (round === 0 || host.connections > 0); round++) await clock.advance(9);
  assertEquals(host.connections, 0);
  await flood;
  assertEquals(host.settings.counters.timeouts, 0);
});

scene(
  "H23 replies that nobody takes wait within the window, and are given up after the stall time",
  async ({ dial, clock, host }) => {
    const peer = await dial().greet({ streamWindowBytes: 100, connectionWindowBytes: 1_000 });
    peer.answersPings = true;
    await peer.send(openFrame(1, "t/echo", `"${"x".repeat(50_000)}"`));
    assertEquals((await peer.expect(Kind.data)).payload.length, 100 - 16);
    const reset = peer.expect(Kind.reset);
    for (let second = 0; second < 29; second++) await clock.advance(1_000);
    assertEquals(host.connections, 1);
    for (let second = 0; second < 3; second++) await clock.advance(1_000);
    assertEquals((await reset).stream, 1);
    assertEquals([host.connections, host.handlers], [1, 0]);
  },
);

scene(
  "H23 calls of a peer that takes no replies wait unrun once 4 MiB do, and run when it does",
  async ({ dial, host, clock }) => {
    let made = 0;
    host.handle("t.large", () => {
      made++;
      return "x".repeat(1_000_000);
    });
    const peer = await dial().greet({ streamWindowBytes: 100, connectionWindowBytes: 2 ** 30 });
    peer.answersPings = true;
    const calls = Array.from({ length: 100 }, (_, n) => openFrame(1 + 2 * n, n === 0 ? "t/large" : 0, "1"));
    await peer.send(...calls);
    await clock.advance(1_000);
    assertEquals([made, host.handlers], [5, 95]);
    // One that is taken back does not run.
    await peer.send(frame(Kind.reset, 0, 199, new Uint8Array(1)));
    const credit = (n: number) => frame(Kind.credit, 0, 1 + 2 * n, u32(2_000_000));
    for (let ends = 0, given = 0; ends < 99;) {
      if (given === 0) { for (; given < 99; given++) await peer.send(credit(given)); }
      if ((await peer.next())!.kind === Kind.end) ends++;
    }
    assertEquals([made, host.handlers], [99, 0]);
  },
);

scene(
  "H25 a peer that stops reading its socket is given up after the write-stall time",
  async ({ dial, clock, host }) => {
    const peer = await dial().greet();
    for (let stream = 1; stream < 40; stream += 2) {
      await peer.send(openFrame(stream, stream === 1 ? "t/echo" : 0, `"${"x".repeat(40_000)}"`));
    }
    await clock.advance(9_000);
    assertEquals(host.connections, 1);
    await clock.advance(3_000);
    assertEquals(host.connections, 0);
  },
);

scene("H4 a frame that trickles in is given up", async ({ dial, clock, host }) => {
  const peer = await dial().greet();
  const slow = openFrame(1, "t/echo", `"${"x".repeat(1_000)}"`);
  for (let at = 0; at < 9; at++) {
    await peer.send(slow.subarray(at, at + 1));
    await clock.advance(1_000);
  }
  assertEquals(host.connections, 1);
  for (let at = 9; at < 13; at++) {
    await peer.send(slow.subarray(at, at + 1));
    await clock.advance(1_000);
  }
  assertEquals(host.connections, 0);
});

scene("X13 a peer that has gone without a word is found by a ping", async ({ dial, clock, host }) => {
  const peer = await dial().greet();
  await peer.send(openFrame(1, "t/wait"));
  await clock.advance(14_000);
  assertEquals(host.connections, 1);
  await clock.advance(7_500);
  assertEquals(host.connections, 0);
  assertEquals((await peer.expect(Kind.ping)).flags, 0);
});

scene("H45 H37 bad metadata ends its call, not the connection", async ({ dial }) => {
  const peer = await dial().greet();
  const raw = (block: Uint8Array) =>
    frame(Kind.open, 0, 1, new Uint8Array([4, 1, 0, 0, 0, 6, ...text("t/echo"), ...u32(block.length), ...block]));
  await peer.send(raw(new Uint8Array([1, 0xff, 0, 0, 0, 0, 0])));
  const bad = statusOf(await peer.expect(Kind.end));
  assertEquals([bad.code, bad.executed], ["invalid_argument", "no"]);
  const large = new Uint8Array([...u32(63 * 1024), ...new Uint8Array(63 * 1024)]);
  await peer.send(frame(Kind.open, 0, 3, new Uint8Array([4, 0, 0, 0, ...large])));
  assertEquals(statusOf(await peer.expect(Kind.end)).code, "resource_exhausted");
  await peer.send(openFrame(5, 0, "1"));
  assertEquals(statusOf(await peer.expect(Kind.end)).code, undefined);
});

scene("H46 names that nobody has are unimplemented, however long or odd", async ({ dial }) => {
  const peer = await dial().greet();
  const names = ["x".repeat(65_000), "../../etc", "", "a\0b", "t/", "/", "__proto__/x", "tälk/ä", "t/constructor"];
  for (const [i, name] of names.entries()) {
    await peer.send(openFrame(1 + 2 * i, name, "1", { procedure: i }));
    const status = statusOf(await peer.expect(Kind.end));
    assertEquals([status.code, status.executed], ["unimplemented", "no"], name.slice(0, 20));
    assert(new TextEncoder().encode(status.message).length <= 1024);
  }
  await peer.send(openFrame(1 + 2 * names.length, "t/echo", "1", { procedure: UNNUMBERED }));
  assertEquals(statusOf(await peer.expect(Kind.end)).code, undefined);
});

scene("H33 H31 messages that their codec refuses end their call", async ({ dial }) => {
  const peer = await dial().greet();
  const messages = ["[".repeat(60_000), '{"a":'.repeat(10_000), "{", "\ufeff1", "1e", '"\\ud800'];
  for (const [i, message] of messages.entries()) {
    await peer.send(openFrame(1 + 2 * i, i === 0 ? "t/echo" : 0, message));
    assertEquals(statusOf(await peer.expect(Kind.end)).code, "invalid_argument", message.slice(0, 10));
  }
});

scene("H47 no time left on arrival runs nothing", async ({ dial, running }) => {
  const peer = await dial().greet();
  await peer.send(openFrame(1, "t/wait", "", { timeoutMs: 0 }));
  const status = statusOf(await peer.expect(Kind.end));
  assertEquals([status.code, status.executed, running.most], ["deadline_exceeded", "no", 0]);
});

scene("H6 every prefix of a conversation, then the end, leaves nothing behind", async ({ dial, host, clock }) => {
  const parts = [
    PREFACE,
    helloFrame(),
    openFrame(1, "t/wait", '"x"'),
    openFrame(3, "t/echo", "1", { procedure: 1 }),
    frame(Kind.ping, 0, 0, new Uint8Array(8)),
  ];
  const bytes = new Uint8Array(parts.flatMap((part) => [...part]));
  for (let length = 0; length <= bytes.length; length++) {
    const peer = dial();
    await peer.send(bytes.subarray(0, length));
    peer.close();
    await clock.advance(0);
  }
  await clock.advance(0);
  assertEquals(host.connections, 0);
});

scene(
  "every byte of every header replaced by every value: the host lives, and the connection answers or ends",
  async ({ dial, host, clock }) => {
    const frames = [
      openFrame(1, "t/echo", "1"),
      frame(Kind.ping, 0, 0, new Uint8Array(8)),
      frame(Kind.credit, 0, 0, u32(9)),
      frame(Kind.reset, 0, 1, "\x01"),
      frame(Kind.end, 0, 1),
      frame(Kind.data, 0, 1, "1"),
    ];
    for (const original of frames) {
      for (let at = 0; at < 9; at++) {
        for (let value = 0; value < 256; value++) {
          const peer = dial();
          const changed = original.slice();
          changed[at] = value;
          await peer.send(PREFACE, helloFrame(), changed);
          peer.close();
        }
        await clock.advance(0);
      }
    }
    await clock.advance(0);
    assertEquals(host.connections, 0);
  },
);

scene(
  "H26 the oldest that has not said hello makes room; those beyond the limit are refused",
  async ({ dial, host, clock }) => {
    const first = dial();
    const others = [dial(), dial(), dial()];
    await clock.advance(0);
    assertEquals(await first.closed(), undefined);
    for (const peer of others) await peer.greet();
    await clock.advance(0);
    assertEquals(host.connections, 3);
    assertEquals(await dial().closed(), undefined);
    assertEquals(host.settings.counters.connectionsRefused, 1);
    others[0].close();
    await clock.advance(0);
  },
  { maxHandshakes: 3, maxConnections: 3 },
);
