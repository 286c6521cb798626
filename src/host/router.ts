import { type Call, type Context, type Invoker, Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import { type Methods, procedureName, type Service } from "../core/service.ts";
import { IncomingCall } from "../connection/incoming_call.ts";
import type { Responder } from "../connection/settings.ts";
import type { Route } from "./handler.ts";
import type { Once } from "./once.ts";
import type { ServiceDescription } from "./introspection.ts";

/** Finds the handler of a procedure and runs it. */
export class Router {
  readonly #routes = new Map<string, Route>();
  readonly #contracts = new Map<string, string>();
  readonly #services = new Set<string>();
  /** What remembers calls that brought a key. */
  once: Once | undefined;

  /** Full names of the services that have handlers. */
  get services(): readonly string[] {
    return [...this.#services].sort();
  }

  /** What is offered, in the order of names. */
  describe(): ServiceDescription[] {
    return this.services.map((name) => ({
      name,
      fingerprint: this.#contracts.get(name) ?? "",
      methods: [...this.#routes].filter(([procedure]) => procedure.startsWith(`${name}/`))
        .map(([procedure, { kind, idempotent }]) => ({ name: procedure.slice(name.length + 1), kind, idempotent }))
        .sort((a, b) => a.name < b.name ? -1 : 1),
    }));
  }

  /** Names and fingerprints of the contracts that have handlers. */
  get contracts(): ReadonlyMap<string, string> {
    return this.#contracts;
  }

  /** Adds all methods of a contract. @throws {TypeError} when one has no handler, or the contract has handlers already */
  addContract(contract: Service<Methods>, implementation: Readonly<Record<string, unknown>>): void {
    if (typeof contract?.name !== "string" || typeof contract.methods !== "object") {
      throw new TypeError("Cannot handle a contract: make it with service()");
    }
    const { name, methods, fingerprint } = contract;
    if (this.#services.has(name)) {
      throw new TypeError(`Cannot handle "${name}": it has handlers already`);
    }
    const names = Object.keys(methods);
    const missing = names.filter((method) => typeof implementation?.[method] !== "function");
    if (missing.length > 0) throw new TypeError(`Cannot handle "${name}": no function for ${missing.join(", ")}`);
    for (const method of names) {
      const run = implementation[method] as Route["run"];
      this.#routes.set(`${name}/${method}`, {
        kind: methods[method].kind,
        idempotent: methods[method].idempotent,
        dedupeMs: methods[method].dedupe?.windowMs,
        run: run.bind(implementation),
      });
    }
    this.#services.add(name);
    this.#contracts.set(name, fingerprint);
  }

  /** Adds one procedure without a contract. @throws {TypeError} when it has a handler already */
  addPlain(name: string, run: Route["run"]): void {
    const procedure = procedureName(name);
    if (typeof run !== "function") throw new TypeError(`Cannot handle "${name}": its handler is not a function`);
    if (this.#routes.has(procedure)) throw new TypeError(`Cannot handle "${procedure}": it has a handler already`);
    this.#routes.set(procedure, { kind: "unary", idempotent: false, dedupeMs: undefined, run });
    this.#services.add(procedure.slice(0, procedure.indexOf("/")));
  }

  /** Answers a call that came in. What need not wait is answered at once. */
  readonly respond: Responder = (arrival) => this.#answer(arrival, arrival.keyed ? arrival.toCall() : undefined);

  /** Answers a call, as interceptors want it. */
  readonly invoke: Invoker = async (call) => await this.#answer(call, call.dedupe === undefined ? undefined : call);

  /** @param keyed the same call, if it brought a key */
  #answer(
    call: Pick<Call, "procedure" | "kind" | "message" | "messages" | "context">,
    keyed: Call | undefined,
  ): Promise<Reply> | Reply {
    const route = this.#routes.get(call.procedure);
    if (route === undefined) throw this.#unknown(call.procedure);
    const { kind, run } = route;
    if (kind !== call.kind && !(kind === "unary" && call.kind === "oneway")) throw mismatch(call, kind);
    if (keyed !== undefined && kind === "unary") return this.#respondOnce(route, keyed);
    const ctx = call.context as Context;
    if (ctx instanceof IncomingCall) ctx.started = true;
    if (kind === "serverStream" || kind === "bidi") {
      const messages = run(kind === "bidi" ? call.messages : call.message, ctx) as AsyncIterable<unknown>;
      if (messages === null || typeof messages !== "object" || !(Symbol.asyncIterator in messages)) {
        throw new TypeError(`The handler of "${call.procedure}" must give an async iterable`);
      }
      return new Reply({ messages });
    }
    const message = run(kind === "clientStream" ? call.messages : call.message, ctx);
    return message instanceof Promise ? message.then(toReply) : new Reply({ message });
  }

  /** Answers a call that brought a key. */
  #respondOnce(route: Route, call: Call): Promise<Reply> | Reply {
    const execute = (ctx: Context) => {
      if (call.context instanceof IncomingCall) call.context.started = true;
      return route.run(call.message, ctx);
    };
    if (route.dedupeMs !== undefined && this.once !== undefined) return this.once.run(call, route.dedupeMs, execute);
    if (call.attempt > 0) {
      const text = `Cannot tell whether "${call.procedure}" has run before: here it is not declared with dedupe`;
      throw new RpcError("unimplemented", text, { executed: "no", retryAfterMs: -1 });
    }
    const message = execute(call.context as Context);
    return message instanceof Promise ? message.then(toReply) : new Reply({ message });
  }

  #unknown(procedure: string): RpcError {
    const service = procedure.slice(0, procedure.indexOf("/"));
    const text = this.#services.has(service)
      ? `There is no method "${procedure.slice(service.length + 1)}" in service "${service}" on this server`
      : `There is no service "${service}" on this server`;
    return new RpcError("unimplemented", text, { executed: "no" });
  }
}

function toReply(message: unknown): Reply {
  return new Reply({ message });
}

function mismatch(call: Pick<Call, "procedure" | "kind">, kind: string): RpcError {
  return new RpcError("unimplemented", `"${call.procedure}" is ${kind}, and was called as ${call.kind}`, {
    executed: "no",
  });
}
