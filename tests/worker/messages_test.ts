import { assertEquals } from "@std/assert";
import { RpcError } from "@erpc/erpc";
import { fromPlain, toPlain } from "../../src/worker/messages.ts";

Deno.test("an error that comes out of a worker says all that it said there, also that a call of the handler's own had failed", () => {
  const error = new RpcError("unavailable", "nobody there", { executed: "no", retryAfterMs: 5, details: { left: 1 } });
  error.explain = { procedure: "t/t", resolved: 2, rule: "r", attempts: [], totalMs: 7 };
  const told = fromPlain(structuredClone(toPlain(error))) as RpcError;
  assertEquals([told.code, told.message, told.executed, told.retryAfterMs, told.details, told.explain], [
    error.code,
    error.message,
    error.executed,
    error.retryAfterMs,
    error.details,
    error.explain,
  ]);
});
