/** What must hold of every client and server, whatever is between them. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type CallOptions, type Metadata, RpcError, type ServiceClient } from "@erpc/erpc";
import { CODES } from "../../src/core/code.ts";
import { type Platform, runtimePlatform } from "../../src/core/platform.ts";
import { Kind } from "../../src/protocol/frame.ts";
import { UNNUMBERED } from "../../src/protocol/open.ts";
import { readStatus, Status } from "../../src/protocol/status.ts";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { within } from "../../src/testing/contract.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import {
  ask,
  askIn,
  CALM_MS,
  type Fate,
  FOR_EVER,
  INITIAL,
  type Interop,
  type Open,
  TAG,
  TRAILING,
  trusting,
} from "./interop.ts";
import { openFrame, readerOf, ScriptedPeer } from "./scripted_peer.ts";
import { collect } from "./words.ts";

type Caller = ServiceClient<typeof Interop>;

/** One case: give it a way to open servers and clients. */
export interface InteropCase {
  /** The row and what it is about. */
  readonly name: string;
  /** Rejects when it does not hold. */
  run(open: Open): Promise<void>;
}

const LARGE_REQUEST = 271_828;
const LARGE_REPLY = 314_159;
const REQUEST_SIZES = [27_182, 8, 1_828, 45_904];
const REPLY_SIZES = [31_415, 9, 2_653, 58_979];

const EMPTY = new Uint8Array(0);
const NEVER = ask({ delayMs: FOR_EVER });
const ECHOED: [string, string | Uint8Array][] = [
  [INITIAL, "test_initial_metadata_value"],
  [TRAILING, new Uint8Array([0xab, 0xab, 0xab])],
];

/** Fails unless a reply is zero bytes, so many of them. */
function assertZeros(reply: Uint8Array, size: number): void {
  assert(reply instanceof Uint8Array);
  assertEquals(reply.length, size);
  assert(!reply.some((byte) => byte !== 0), "a byte of the payload is not zero");
}

/** Requests that are sent when the test says so. */
class Requests implements AsyncIterable<Uint8Array> {
  readonly #sent: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  send(...requests: Uint8Array[]): this {
    this.#sent.push(...requests);
    this.#wake?.();
    return this;
  }

  end(): this {
    this.#ended = true;
    this.#wake?.();
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.#sent.length > 0) yield this.#sent.shift()!;
      if (this.#ended) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

/** What a call was told beside its messages. */
function listening(options: CallOptions = {}) {
  const told: { headers?: Metadata; trailers?: Metadata } = {};
  const listener: CallOptions = {
    ...options,
    onMetadata: (metadata) => told.headers = metadata,
    onTrailers: (trailers) => told.trailers = trailers,
  };
  return { told, options: listener };
}

const valuesOf = (metadata: Metadata | undefined, key: string) => metadata?.getAll(key);

async function failure(call: Promise<unknown>): Promise<RpcError> {
  return await assertRejects(() => within(call, "a call to fail", CALM_MS), RpcError);
}

let tags = 0;
const tagged = (options: CallOptions = {}) => {
  const tag = `call-${++tags}`;
  return { tag, options: { ...options, metadata: { [TAG]: tag } } };
};

/** Calls of every kind whose replies are never complete: the last of them has half of its replies. */
const kinds: readonly (readonly [name: string, start: (interop: Caller, options: CallOptions) => Promise<unknown>])[] =
  [
    ["unary", (interop, options) => interop.unary(NEVER, options)],
    ["client stream", (interop, options) => interop.sumIn([ask({}, 100), NEVER], options)],
    [
      "server stream",
      (interop, options) => collect(interop.streamOut(ask({ sizes: [1], delayMs: FOR_EVER }), options)),
    ],
    ["bidi, half duplex", (interop, options) => collect(interop.duplex([NEVER], options))],
    ["bidi, full duplex", async (interop, options) => {
      const requests = new Requests().send(ask({ responseBytes: 7 }));
      const replies = interop.duplex(requests, options);
      assertZeros((await replies.next()).value, 7);
      requests.send(NEVER).end();
      await replies.next();
    }],
  ];

/** A platform that knows how many of its timers are set. */
function countingPlatform(): Platform & { readonly timers: () => number } {
  let set = 0;
  const timer = (ms: number, fire: () => void): Disposable => {
    let over = false;
    const end = () => {
      if (!over) set--;
      over = true;
    };
    set++;
    const timer = runtimePlatform.clock.timer(ms, () => {
      end();
      fire();
    });
    return {
      [Symbol.dispose]() {
        end();
        timer[Symbol.dispose]();
      },
    };
  };
  return { ...runtimePlatform, clock: { ...runtimePlatform.clock, timer }, timers: () => set };
}

/** The cases by their rows. */
export const interopCases: readonly InteropCase[] = [
  {
    name: "I1 empty_unary",
    async run(open) {
      await using opened = await open();
      assertZeros(await opened.interop.empty(EMPTY), 0);
    },
  },
  {
    name: "I2 large_unary",
    async run(open) {
      await using opened = await open();
      const request = askIn(LARGE_REQUEST, { responseBytes: LARGE_REPLY });
      assertZeros(await opened.interop.unary(request), LARGE_REPLY);
    },
  },
  {
    name: "I3 client_streaming",
    async run(open) {
      await using opened = await open();
      const sum = await opened.interop.sumIn(REQUEST_SIZES.map((size) => ask({}, size)));
      assertEquals(new TextDecoder().decode(sum), "74922");
    },
  },
  {
    name: "I4 server_streaming",
    async run(open) {
      await using opened = await open();
      const replies = await collect(opened.interop.streamOut(ask({ sizes: REPLY_SIZES })));
      assertEquals(replies.length, 4);
      replies.forEach((reply, i) => assertZeros(reply, REPLY_SIZES[i]));
    },
  },
  {
    name: "I5 ping_pong",
    async run(open) {
      await using opened = await open();
      const requests = new Requests();
      const replies = opened.interop.duplex(requests);
      for (const [i, size] of REQUEST_SIZES.entries()) {
        requests.send(ask({ responseBytes: REPLY_SIZES[i] }, size));
        const { value } = await within(replies.next(), `reply ${i}`, CALM_MS);
        assertZeros(value, REPLY_SIZES[i]);
      }
      requests.end();
      assertEquals(await replies.next(), { done: true, value: undefined });
    },
  },
  {
    name: "I6 empty_stream",
    async run(open) {
      await using opened = await open();
      assertEquals(await collect(opened.interop.duplex([])), []);
    },
  },
  {
    name: "I7 server stream without replies, with headers and trailers",
    async run(open) {
      await using opened = await open();
      const { told, options } = listening({ metadata: ECHOED });
      assertEquals(await collect(opened.interop.streamOut(ask({ sizes: [] }), options)), []);
      assertEquals([...told.headers!], [ECHOED[0]]);
      assertEquals([...told.trailers!], [ECHOED[1]]);
    },
  },
  {
    name: "I11 custom_metadata",
    async run(open) {
      await using opened = await open();
      const unary = listening({ metadata: ECHOED });
      assertZeros(await opened.interop.unary(ask({ responseBytes: 314 }, 271), unary.options), 314);
      const duplex = listening({ metadata: ECHOED });
      const replies = await collect(opened.interop.duplex([ask({ responseBytes: 314 }, 271)], duplex.options));
      assertEquals(replies.length, 1);
      for (const { told } of [unary, duplex]) {
        assertEquals([...told.headers!], [ECHOED[0]]);
        assertEquals([...told.trailers!], [ECHOED[1]]);
      }
      const seen = await opened.interop.echoMeta({}, { metadata: ECHOED });
      assertEquals(seen, [ECHOED[0] as [string, string], [TRAILING, [0xab, 0xab, 0xab]]]);
    },
  },
  {
    name: "I12 duplicate_metadata",
    async run(open) {
      await using opened = await open();
      const { interop } = opened;
      const bytes = [new Uint8Array([1]), new Uint8Array([0, 255])];
      const metadata: [string, string | Uint8Array][] = [
        [INITIAL, "one"],
        ["x-twice", "first"],
        [TRAILING, bytes[0]],
        [INITIAL, "two"],
        [INITIAL, "one"],
        [TRAILING, bytes[1]],
        ["x-twice", "second"],
      ];
      const twice = (await interop.echoMeta({}, { metadata })).filter(([key]) => key === "x-twice");
      assertEquals(twice, [["x-twice", "first"], ["x-twice", "second"]]);
      const check = (told: { headers?: Metadata; trailers?: Metadata }, failed: boolean) => {
        // A unary call that fails brings everything in one: there is no reply that headers could go before.
        if (!failed) assertEquals(valuesOf(told.headers, INITIAL), ["one", "two", "one"]);
        assertEquals(valuesOf(told.trailers, TRAILING), bytes);
      };
      const status = { code: "aborted", message: "as asked" } as const;
      for (const failed of [false, true]) {
        const wish = failed ? { status } : {};
        const unary = listening({ metadata });
        const stream = listening({ metadata });
        const outcomes = await Promise.all([
          interop.unary(ask(wish), unary.options).then(() => "ok", (error) => error.code),
          collect(interop.streamOut(ask({ ...wish, sizes: [3] }), stream.options)).then(
            () => "ok",
            (error) => error.code,
          ),
        ]);
        assertEquals(outcomes, failed ? ["aborted", "aborted"] : ["ok", "ok"]);
        check(unary.told, failed);
        check(stream.told, false);
        check(stream.told, failed);
      }
    },
  },
  {
    name: "I13 status_code_and_message",
    async run(open) {
      await using opened = await open();
      const messages = ["test status message", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", ""];
      for (const message of messages) {
        const request = ask({ status: { code: "unknown", message } });
        const errors = await Promise.all([
          failure(opened.interop.unary(request)),
          failure(collect(opened.interop.duplex([request]))),
          failure(opened.interop.sumIn([request])),
          failure(collect(opened.interop.streamOut(request))),
        ]);
        for (const error of errors) assertEquals([error.code, error.message], ["unknown", message]);
      }
    },
  },
  {
    name: "I15 all codes, with details and metadata",
    async run(open) {
      await using opened = await open();
      for (const code of CODES) {
        const request = ask({ status: { code, message: `this is ${code}`, details: [1, 0, 255] } });
        const errors = await Promise.all([
          failure(opened.interop.unary(request, { metadata: ECHOED })),
          failure(collect(opened.interop.streamOut(request, { metadata: ECHOED }))),
        ]);
        for (const error of errors) {
          assertEquals([error.code, error.message, error.executed], [code, `this is ${code}`, "yes"]);
          assertEquals(error.details, new Uint8Array([1, 0, 255]));
          assertEquals([...error.metadata!], [ECHOED[1]]);
        }
      }
    },
  },
  {
    name: "I16 an error after replies",
    async run(open) {
      await using opened = await open();
      const request = ask({ sizes: [31_415, 9], status: { code: "internal", message: "after two" } });
      const sizes: number[] = [];
      const error = await failure((async () => {
        for await (const reply of opened.interop.streamOut(request)) sizes.push(reply.length);
      })());
      assertEquals([sizes, error.code, error.message], [[31_415, 9], "internal", "after two"]);
    },
  },
  {
    name: "I17 unimplemented_method and unimplemented_service",
    async run(open) {
      await using opened = await open();
      for (const procedure of ["test.Interop/nope", "test.Nobody/empty"]) {
        const error = await failure(opened.client.call(procedure, {}));
        assertEquals([error.code, error.executed], ["unimplemented", "no"]);
        const streamed = await failure(opened.client.stream(procedure, {}).next());
        assertEquals([streamed.code, streamed.executed], ["unimplemented", "no"]);
      }
      assertZeros(await opened.interop.empty(EMPTY), 0);
      assertEquals(opened.client.stats().counters.connectionsOpened, 1);
    },
  },
  {
    name: "I18 cancel_before_start",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      const before = opened.client.stats().counters.callsSent;
      for (const [name, start] of kinds) {
        const error = await failure(start(opened.interop, { signal: AbortSignal.abort("not today") }));
        assertEquals([error.code, error.executed, error.cause], ["cancelled", "no", "not today"], name);
      }
      assertEquals(opened.client.stats().counters.callsSent, before);
      await opened.interop.empty(EMPTY);
      assertEquals(opened.server.stats().counters.callsReceived, before + 1);
    },
  },
  {
    name: "I19 cancel_after_begin",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      const controller = new AbortController();
      const { tag, options } = tagged({ signal: controller.signal });
      const call = failure(opened.interop.sumIn(new Requests(), options));
      controller.abort();
      assertEquals((await call).code, "cancelled");
      assertEquals(await opened.interop.fate({ tag }), { fate: "aborted" });
    },
  },
  {
    name: "I20 cancel_after_first_response",
    async run(open) {
      await using opened = await open();
      const controller = new AbortController();
      const { tag, options } = tagged({ signal: controller.signal });
      const requests = new Requests().send(ask({ responseBytes: 31_415 }, 27_182));
      const replies = opened.interop.duplex(requests, options);
      assertZeros((await replies.next()).value, 31_415);
      controller.abort();
      assertEquals((await failure(replies.next())).code, "cancelled");
      assertEquals(await replies.next(), { done: true, value: undefined });
      assertEquals(await opened.interop.fate({ tag }), { fate: "aborted" });
    },
  },
  {
    name: "I21 cancel_after_close_send, every kind",
    async run(open) {
      await using opened = await open();
      await Promise.all(kinds.map(async ([name, start]) => {
        const controller = new AbortController();
        const { tag, options } = tagged({ signal: controller.signal });
        const call = failure(start(opened.interop, options));
        await opened.interop.begun({ tag });
        controller.abort();
        assertEquals((await call).code, "cancelled", name);
        assertEquals(await opened.interop.fate({ tag }), { fate: "aborted" }, name);
      }));
    },
  },
  {
    name: "I22 timeout_on_sleeping_server",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      const request = ask({ delayMs: FOR_EVER }, 27_182);
      const error = await failure(collect(opened.interop.duplex([request], { timeoutMs: 1 })));
      assertEquals(error.code, "deadline_exceeded");
    },
  },
  {
    name: "I23 timeouts, every kind: never early, and the handler is aborted",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      await Promise.all(kinds.map(async ([name, start]) => {
        const { tag, options } = tagged({ timeoutMs: 200 });
        const started = performance.now();
        const error = await failure(start(opened.interop, options));
        const tookMs = performance.now() - started;
        assertEquals(error.code, "deadline_exceeded", name);
        assert(tookMs >= 199.9, `${name} ended after ${tookMs} ms`);
        const { fate }: { fate: Fate } = await opened.interop.fate({ tag });
        assertEquals(fate, "aborted", name);
      }));
    },
  },
  {
    name: "I23 a timeout counts from its call, however busy the caller has been just before",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      const busy = () => {
        for (const until = performance.now() + 30; performance.now() < until;);
      };
      const before = opened.interop.empty(EMPTY).catch(() => {});
      busy();
      const started = performance.now();
      const error = await failure(opened.interop.unary(NEVER, { timeoutMs: 20 }));
      const tookMs = performance.now() - started;
      assertEquals(error.code, "deadline_exceeded");
      assert(tookMs >= 19.9, `it ended after ${tookMs} ms`);
      await before;
      const beside = opened.interop.empty(EMPTY).catch(() => {});
      busy();
      const [leftMs] = await opened.interop.hop({ hops: 0 }, { timeoutMs: 1_000 });
      assert(leftMs <= 1_001, `the server believes that ${leftMs} of 1000 ms are left`);
      await beside;
    },
  },
  {
    name: "I24 deadline_propagation",
    async run(open) {
      await using opened = await open();
      const left = await opened.interop.hop({ hops: 3 }, { timeoutMs: 2_000 });
      assertEquals(left.length, 4);
      // The wire carries whole milliseconds.
      left.forEach((ms, i) => assert(ms > 0 && ms <= (left[i - 1] ?? 2_000) + 1, `${left}`));
    },
  },
  {
    name: "I25 a timeout that is not needed leaves no timer",
    async run(open) {
      const platform = countingPlatform();
      {
        await using opened = await open({ client: { platform } });
        for (let i = 0; i < 10; i++) assertZeros(await opened.interop.empty(EMPTY, { timeoutMs: 1_000 }), 0);
        // One for the wheel of deadlines, however many deadlines there were.
        assert(platform.timers() <= 1, `${platform.timers()} timers are set`);
      }
      assertEquals(platform.timers(), 0);
    },
  },
  {
    name: "I26 zero, negative, huge and nonsensical timeouts",
    async run(open) {
      await using opened = await open();
      const { interop } = opened;
      await interop.empty(EMPTY);
      const before = opened.client.stats().counters.callsSent;
      for (const timeoutMs of [0, -1, -Infinity]) {
        for (const [name, start] of kinds) {
          const error = await failure(start(interop, { timeoutMs }));
          assertEquals([error.code, error.executed], ["deadline_exceeded", "no"], name);
        }
      }
      assertEquals(opened.client.stats().counters.callsSent, before);
      for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
        assertZeros(await interop.empty(EMPTY, { timeoutMs }), 0);
        assertEquals((await collect(interop.duplex([ask({ responseBytes: 1 })], { timeoutMs }))).length, 1);
      }
      assertThrows(() => interop.empty(EMPTY, { timeoutMs: NaN }), RangeError, "timeoutMs");
      assertThrows(() => interop.streamOut(NEVER, { timeoutMs: NaN }), RangeError, "timeoutMs");
    },
  },
  {
    name: "I27 messages at the limit and over it, first and later, every kind",
    async run(open) {
      const max = 20_000;
      const limits = { maxMessageBytes: max };
      await using opened = await open({ server: { limits }, client: { limits } });
      const { interop } = opened;
      const requests = new Requests().send(ask({ responseBytes: 1 }));
      const other = interop.duplex(requests);
      await other.next();
      const attempts = (size: number): [string, Promise<unknown>][] => [
        ["unary request", interop.unary(askIn(size))],
        ["unary reply", interop.unary(ask({ responseBytes: size }))],
        ["client stream, first request", interop.sumIn([askIn(size)])],
        ["client stream, later request", interop.sumIn([ask({}), ask({}), askIn(size)])],
        ["server stream, request", collect(interop.streamOut(askIn(size)))],
        ["server stream, first reply", collect(interop.streamOut(ask({ sizes: [size] })))],
        ["server stream, later reply", collect(interop.streamOut(ask({ sizes: [5, max, size] })))],
        ["bidi, first request", collect(interop.duplex([askIn(size)]))],
        ["bidi, later request", collect(interop.duplex([ask({ responseBytes: 1 }), askIn(size)]))],
        ["bidi, first reply", collect(interop.duplex([ask({ responseBytes: size })]))],
        ["bidi, later reply", collect(interop.duplex([ask({ responseBytes: 1 }), ask({ responseBytes: size })]))],
      ];
      await Promise.all(attempts(max).map(([name, attempt]) => within(attempt, name, CALM_MS)));
      for (const size of [max + 1, max + 10]) {
        await Promise.all(
          attempts(size).map(async ([name, attempt]) => {
            const error = await failure(attempt);
            assertEquals(error.code, "resource_exhausted", `${name} of ${size} bytes: ${error.message}`);
          }),
        );
      }
      requests.send(ask({ responseBytes: 2 })).end();
      assertZeros((await other.next()).value, 2);
      assertEquals((await other.next()).done, true);
      assertEquals(opened.client.stats().counters.connectionsOpened, 1);
    },
  },
  {
    name: "I29 an unknown codec or compression is unimplemented, for its call alone",
    async run(open) {
      await using opened = await open();
      const codec = { name: "klingon", encode: () => "nuqneH", decode: () => 1 };
      const error = await failure(opened.client.call("test.Interop/echoMeta", {}, { codec }));
      assertEquals([error.code, error.executed], ["unimplemented", "no"]);
      assertZeros(await opened.interop.empty(EMPTY), 0);
      assertEquals(opened.client.stats().counters.connectionsOpened, 1);

      const peer = await new ScriptedPeer(await systemTransport.connect(opened.endpoint, { tls: trusting })).greet();
      const codes: (string | undefined)[] = [];
      for (const [stream, compression] of [[1, "zstd-17"], [3, undefined]] as const) {
        await peer.send(openFrame(stream, "test.Interop/echoMeta", "{}", { procedure: UNNUMBERED, compression }));
        const status = new Status();
        readStatus(readerOf(await peer.expect(Kind.end)), status, DEFAULT_LIMITS);
        codes.push(status.code);
      }
      peer.close();
      assertEquals(codes, ["unimplemented", undefined]);
    },
  },
  {
    name: "I33 max_streams",
    async run(open) {
      // It holds for one connection: without the client's limit there would be others beside it.
      const one = { maxConnectionsPerInstance: 1 };
      await using opened = await open({ server: { limits: { maxStreams: 1 } }, client: { limits: one } });
      const { interop } = opened;
      const request = askIn(LARGE_REQUEST / 10 | 0, { responseBytes: LARGE_REPLY / 10 | 0 });
      const replies = await Promise.all(Array.from({ length: 10 }, () => interop.unary(request)));
      for (const reply of replies) assertZeros(reply, LARGE_REPLY / 10 | 0);
      assertEquals(await interop.most({}), 1);
      assertEquals(opened.server.stats().counters.callsRefused, 0);
    },
  },
  {
    name: "I34 tiny frames",
    async run(open) {
      await using opened = await open({ server: { limits: { sendFrameBytes: 5 } } });
      assertZeros(await opened.interop.unary(ask({ responseBytes: LARGE_REPLY })), LARGE_REPLY);
      const replies = await collect(opened.interop.streamOut(ask({ sizes: REPLY_SIZES })));
      assertEquals(replies.map((reply) => reply.length), REPLY_SIZES);
    },
  },
  {
    name: "I37 63 KiB of metadata",
    async run(open) {
      await using opened = await open();
      await opened.interop.empty(EMPTY);
      const metadata = { "x-large": "x".repeat(63 * 1024) };
      for (const [name, start] of kinds) {
        const error = await failure(start(opened.interop, { metadata }));
        assertEquals([error.code, error.executed], ["resource_exhausted", "no"], name);
      }
      assertZeros(await opened.interop.empty(EMPTY), 0);
      assertEquals(opened.client.stats().counters.connectionsOpened, 1);
    },
  },
];
