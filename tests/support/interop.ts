/**
 * The server that gRPC's interoperability tests call, as far as it makes sense here: replies of any size, delay and status,
 * metadata given back. A call that brings a tag can be asked after from outside, so that tests need not guess.
 */
import {
  bidi,
  bytes,
  Client,
  type ClientOptions,
  clientStream,
  type Code,
  type Context,
  type Implementation,
  RpcError,
  Server,
  type ServerOptions,
  serverStream,
  service,
  type ServiceClient,
  unary,
} from "@erpc/erpc";
import { runtimePlatform } from "../../src/core/platform.ts";
import { authority, pair } from "./certs.ts";
import { startProxy } from "./proxy.ts";

/** Metadata with this key comes back before the first reply. */
export const INITIAL = "x-grpc-test-echo-initial";
/** Metadata with this key comes back as trailers. */
export const TRAILING = "x-grpc-test-echo-trailing-bin";
/** Names a call, so that `begun` and `fate` can be asked after it. */
export const TAG = "x-test-tag";
/** A delay that only an abort ends. */
export const FOR_EVER = 2 ** 31 - 1;

/** How a handler ended: `aborted` when its signal had aborted before. */
export type Fate = "ended" | "aborted";

/** What a request asks for. The rest of the request is payload. */
export interface Wish {
  /** How large the reply is. Without it a request of `duplex` gets none. */
  readonly responseBytes?: number;
  /** How large the replies of `streamOut` are. */
  readonly sizes?: readonly number[];
  /** How long the first reply takes, in milliseconds. */
  readonly delayMs?: number;
  /** How long each further reply takes, in milliseconds. */
  readonly intervalMs?: number;
  /** What the call ends with, after its replies. */
  readonly status?: { readonly code: Code; readonly message: string; readonly details?: readonly number[] };
}

/** Requests are made by `ask`; replies are zero bytes, those of `sumIn` a number as text. */
export const Interop = service("test.Interop", {
  empty: unary<Uint8Array, Uint8Array>({ codec: bytes() }),
  unary: unary<Uint8Array, Uint8Array>({ codec: bytes() }),
  /** The same, and may be retried. */
  repeat: unary<Uint8Array, Uint8Array>({ codec: bytes(), idempotent: true }),
  sumIn: clientStream<Uint8Array, Uint8Array>({ codec: bytes() }),
  streamOut: serverStream<Uint8Array, Uint8Array>({ codec: bytes() }),
  duplex: bidi<Uint8Array, Uint8Array>({ codec: bytes() }),
  /** Gives back the metadata that came. */
  echoMeta: unary<Record<string, never>, [string, string | number[]][]>(),
  /** What remains of the deadline here, and on each server further on. */
  hop: unary<{ hops: number }, number[]>(),
  /** Numbers from `from` to `to`, each beside so much text. */
  count: serverStream<{ from: number; to: number; textBytes: number }, { n: number; text: string }>(),
  /** Waits until the call with this tag has begun. */
  begun: unary<{ tag: string }, Record<string, never>>(),
  /** Waits until the call with this tag has ended on the server. */
  fate: unary<{ tag: string }, { fate: Fate }>(),
  /** How many handlers have run at once at most, this one left out. */
  most: unary<Record<string, never>, number>(),
});

/** A request: what it asks for as JSON, and so many zero bytes of payload behind it. */
export function ask(wish: Wish, payloadBytes = 0): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify(wish));
  const request = new Uint8Array(2 + head.length + payloadBytes);
  new DataView(request.buffer).setUint16(0, head.length);
  request.set(head, 2);
  return request;
}

/** A request that is so large with all that is in it. */
export function askIn(totalBytes: number, wish: Wish = {}): Uint8Array {
  return ask(wish, totalBytes - ask(wish).length);
}

function unpack(request: Uint8Array): { wish: Wish; payloadBytes: number } {
  const headBytes = request[0] << 8 | request[1];
  const wish: Wish = JSON.parse(new TextDecoder().decode(request.subarray(2, 2 + headBytes)));
  return { wish, payloadBytes: request.length - 2 - headBytes };
}

/** What the handlers of one server have gone through. */
export class Traces {
  /** How many run. */
  running = 0;
  /** How many have run at once at most. */
  most = 0;
  readonly #told: (what: "begun" | Fate, tag: string) => void;
  readonly #calls = new Map<string, { begun: PromiseWithResolvers<void>; fate: PromiseWithResolvers<Fate> }>();

  /** @param told is told of every call that brought a tag */
  constructor(told: (what: "begun" | Fate, tag: string) => void = () => {}) {
    this.#told = told;
  }

  /** The call with this tag, whether it has begun or not. */
  of(tag: string): { begun: PromiseWithResolvers<void>; fate: PromiseWithResolvers<Fate> } {
    let call = this.#calls.get(tag);
    if (call === undefined) {
      this.#calls.set(tag, call = { begun: Promise.withResolvers(), fate: Promise.withResolvers() });
    }
    return call;
  }

  /** A handler begins; it ends when the result is disposed. */
  enter(ctx: Context): Disposable {
    for (const [key, value] of ctx.metadata) {
      if (key === INITIAL) ctx.responseMetadata.append(key, value);
      if (key === TRAILING) ctx.trailers.append(key, value);
    }
    const { signal } = ctx;
    const tag = ctx.metadata.text(TAG);
    this.most = Math.max(this.most, ++this.running);
    if (tag !== undefined) {
      this.of(tag).begun.resolve();
      this.#told("begun", tag);
    }
    return {
      [Symbol.dispose]: () => {
        this.running--;
        if (tag === undefined) return;
        const fate = signal.aborted ? "aborted" : "ended";
        this.of(tag).fate.resolve(fate);
        this.#told(fate, tag);
      },
    };
  }
}

/** What answers the contract. @param next whom `hop` calls */
export function interopHandlers(
  traces: Traces,
  next?: () => ServiceClient<typeof Interop>,
): Implementation<typeof Interop> {
  return {
    empty(request, ctx) {
      using _ = traces.enter(ctx);
      return request;
    },
    unary: (request, ctx) => answer(request, ctx, traces),
    repeat: (request, ctx) => answer(request, ctx, traces),
    async sumIn(requests, ctx) {
      using _ = traces.enter(ctx);
      let sum = 0;
      let last: Wish = {};
      for await (const request of requests) {
        const { wish, payloadBytes } = unpack(request);
        sum += payloadBytes;
        last = wish;
      }
      await stay(last.delayMs, ctx);
      fail(last);
      return new TextEncoder().encode(String(sum));
    },
    async *streamOut(request, ctx) {
      using _ = traces.enter(ctx);
      const { wish } = unpack(request);
      let waitMs = wish.delayMs;
      for (const size of wish.sizes ?? []) {
        await stay(waitMs, ctx);
        waitMs = wish.intervalMs;
        yield new Uint8Array(size);
      }
      await stay(waitMs, ctx);
      fail(wish);
    },
    async *duplex(requests, ctx) {
      using _ = traces.enter(ctx);
      for await (const request of requests) {
        const { wish } = unpack(request);
        await stay(wish.delayMs, ctx);
        if (wish.responseBytes !== undefined) yield new Uint8Array(wish.responseBytes);
        await stay(wish.intervalMs, ctx);
        fail(wish);
      }
    },
    echoMeta(_, ctx) {
      using _trace = traces.enter(ctx);
      return [...ctx.metadata].map(([key, value]) => [key, typeof value === "string" ? value : [...value]]);
    },
    async hop({ hops }, ctx) {
      const left = ctx.remainingMs();
      return hops === 0 ? [left] : [left, ...await next!().hop({ hops: hops - 1 }, { parent: ctx })];
    },
    async *count({ from, to, textBytes }, ctx) {
      using _ = traces.enter(ctx);
      const text = "x".repeat(textBytes);
      for (let n = from; n < to; n++) yield { n, text };
    },
    async begun({ tag }) {
      await traces.of(tag).begun.promise;
      return {};
    },
    fate: async ({ tag }) => ({ fate: await traces.of(tag).fate.promise }),
    most: () => traces.most,
  };
}

async function answer(request: Uint8Array, ctx: Context, traces: Traces): Promise<Uint8Array> {
  using _ = traces.enter(ctx);
  const { wish } = unpack(request);
  await stay(wish.delayMs, ctx);
  fail(wish);
  return new Uint8Array(wish.responseBytes ?? 0);
}

/** Waits, unless the call is over before. @throws why it is over */
async function stay(ms: number | undefined, ctx: Context): Promise<void> {
  if (ms === undefined) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  using _timer = runtimePlatform.clock.timer(ms, resolve);
  ctx.signal.addEventListener("abort", () => resolve());
  if (!ctx.signal.aborted) await promise;
  ctx.signal.throwIfAborted();
}

function fail({ status }: Wish): void {
  if (status === undefined) return;
  const details = status.details === undefined ? undefined : new Uint8Array(status.details);
  throw new RpcError(status.code, status.message, { details });
}

/** A server of the contract, and a client to call it with. */
export interface Opened extends AsyncDisposable {
  readonly client: Client;
  readonly interop: ServiceClient<typeof Interop>;
  readonly server: Server;
  /** Where the client dials. */
  readonly endpoint: string;
}

/** Opens a server and a client. Whoever opens them disposes them. */
export type Open = (options?: { server?: ServerOptions; client?: ClientOptions }) => Promise<Opened>;

/** A way from clients to servers. */
export interface Path {
  readonly name: string;
  /** Where a server is to listen, so that it is on the way. */
  listen(): string;
  /** Where a client has to dial to reach what listens there. */
  through(endpoint: string): Promise<{ readonly endpoint: string } & AsyncDisposable>;
}

const direct: Path["through"] = (endpoint) =>
  Promise.resolve({ endpoint, [Symbol.asyncDispose]: () => Promise.resolve() });
let listeners = 0;
let sockets: string | undefined;

function socketPath(): string {
  if (sockets === undefined) {
    const folder = sockets = Deno.makeTempDirSync({ prefix: "erpc-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  }
  return `${sockets}/${++listeners}`;
}

/** Every way: what holds on one holds on all. */
export const paths: readonly Path[] = [
  { name: "memory", listen: () => `memory://interop-${++listeners}`, through: direct },
  { name: "tcp", listen: () => "tcp://127.0.0.1:0", through: direct },
  { name: "tls", listen: () => "tls://127.0.0.1:0", through: direct },
  { name: "unix", listen: () => `unix://${socketPath()}`, through: direct },
  {
    name: "tcp in slices",
    listen: () => "tcp://127.0.0.1:0",
    through: (endpoint) => {
      const sliced = { sliceBytes: [1, 64], jitterMs: 1 } as const;
      return startProxy(endpoint, { up: sliced, down: sliced });
    },
  },
];

/** A time-out that only what hangs reaches, also in slices on a busy machine. */
export const CALM_MS = 60_000;

/** What a client needs to know on the way over TLS. */
export const trusting = { ca: [authority("ca")] };

/** Opens servers and clients on a way. */
export function openOn(path: Path): Open {
  return async (options = {}) => {
    const server = new Server({ tls: pair("server"), ...options.server });
    const stack = new AsyncDisposableStack();
    stack.use(server);
    server.handle(Interop, interopHandlers(new Traces(), () => interop));
    await server.listen(path.listen());
    const { endpoint } = stack.use(await path.through(server.endpoint));
    const client = stack.use(
      new Client({ endpoints: [endpoint], tls: trusting, timeoutMs: CALM_MS, ...options.client }),
    );
    const interop = client.service(Interop);
    return { client, interop, server, endpoint, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  };
}
