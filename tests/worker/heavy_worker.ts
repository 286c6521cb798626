import { fail, RpcError } from "@erpc/erpc";
import { serveWorker } from "@erpc/erpc/worker";
import { Heavy } from "./heavy.ts";

const notes: string[] = [];
let calls = 0;

serveWorker(Heavy, {
  add: ({ a, b }) => ({ sum: a + b }),
  spin() {
    for (;;);
  },
  // Looks whether anybody waits for it, and never pauses.
  poll(_, ctx) {
    while (ctx.remainingMs() > 0);
    return ctx.signal.aborted ? "heard" : "saw";
  },
  // Computes after it has waited for something.
  async late({ ms }) {
    await Promise.resolve();
    for (const until = performance.now() + ms; performance.now() < until;);
    return "late";
  },
  deaf: () => new Promise<void>(() => {}),
  // Hears of the end of its call, and ends by itself.
  wait: (_, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve("woken"))),
  fail({ how }) {
    switch (how) {
      case "declared":
        throw fail(Heavy, "tooLarge", "At most nine", { most: 9 });
      case "rpc":
        throw new RpcError("aborted", "as asked", { retryAfterMs: 7, metadata: undefined, details: [1] });
      case "plain":
        throw new TypeError("the disk is full");
      case "text":
        throw "a text";
      case "reply":
        return () => "a function";
      case "details":
        throw new RpcError("aborted", "as asked", { details: () => 1 });
      case "later":
        queueMicrotask(() => {
          throw new Error("nobody caught this");
        });
        return new Promise(() => {});
      case "leave":
        (globalThis as unknown as { close(): void }).close();
        return new Promise(() => {});
      default:
        return { then: "not a promise", how };
    }
  },
  about(_, ctx) {
    ctx.responseMetadata.set("x-first", ctx.metadata.text("x-in") ?? "");
    ctx.trailers.set("x-last", new Uint8Array([1, 2]));
    const { procedure, peer, attempt, hop, criticality } = ctx;
    const inTime = ctx.remainingMs() > 0 && ctx.remainingMs() <= 60_000;
    return { procedure, peer, attempt, hop, criticality, inTime, calls: ++calls };
  },
  *numbers({ to, spinAt, failAt }, ctx) {
    ctx.responseMetadata.set("x-first", "numbers");
    try {
      for (let number = 0; number < to; number++) {
        if (number === spinAt) { for (;;); }
        if (number === failAt) throw new RpcError("data_loss", "no more");
        yield number;
      }
      ctx.trailers.set("x-last", "numbers");
    } finally {
      notes.push(`numbers to ${to} ended`);
    }
  },
  note: (text) => void notes.push(text),
  noted: () => notes.splice(0),
});
