/** Services that every host offers about itself: whether it is well, and what it offers. */
import type { Context } from "../core/call.ts";
import { type Method, type MethodKind, serverStream, type Service, service, unary } from "../core/service.ts";
import type { Implementation } from "./handler.ts";
import type { Router } from "./router.ts";

/** Whether calls are taken: `unknown` means that there is no service of that name. */
export type HealthStatus = "serving" | "draining" | "unknown";

/** Asks whether a server takes calls, as a whole or for one service. */
export const Health: Service<{
  readonly check: Method<"unary", { service?: string } | undefined, { status: HealthStatus }>;
  readonly watch: Method<"serverStream", { service?: string } | undefined, { status: HealthStatus }>;
}, Record<never, never>> = service("erpc.Health", {
  check: unary<{ service?: string } | undefined, { status: HealthStatus }>({ idempotent: true }),
  watch: serverStream<{ service?: string } | undefined, { status: HealthStatus }>({ idempotent: true }),
});

/** What is known of a service without its contract at hand. */
export interface ServiceDescription {
  /** The full name. */
  readonly name: string;
  /** The contract's fingerprint; an empty text when there is no contract. */
  readonly fingerprint: string;
  /** The methods in the order of their names. */
  readonly methods: readonly { readonly name: string; readonly kind: MethodKind; readonly idempotent: boolean }[];
}

/** Asks what a server offers. */
export const Reflection: Service<{
  readonly services: Method<"unary", Record<string, never> | undefined, { services: readonly ServiceDescription[] }>;
}, Record<never, never>> = service("erpc.Reflection", {
  services: unary<Record<string, never> | undefined, { services: readonly ServiceDescription[] }>({ idempotent: true }),
});

/** The health of one host: tells those who watch when it changes. */
export class HealthBoard {
  readonly #router: Router;
  #draining = false;
  #changed = Promise.withResolvers<void>();

  constructor(router: Router) {
    this.#router = router;
  }

  /** The host takes no new calls from now on. */
  drain(): void {
    this.#draining = true;
    this.#tell();
  }

  /** Something is offered that was not before. */
  refresh(): void {
    this.#tell();
  }

  /** What answers the contract. */
  readonly implementation: Implementation<typeof Health> = {
    check: (request) => ({ status: this.#status(request?.service) }),
    watch: (request, ctx) => this.#watch(request?.service, ctx),
  };

  #status(service: string | undefined): HealthStatus {
    if (service !== undefined && !this.#router.services.includes(service)) return "unknown";
    return this.#draining ? "draining" : "serving";
  }

  async *#watch(service: string | undefined, ctx: Context): AsyncGenerator<{ status: HealthStatus }> {
    const { promise: left, resolve } = Promise.withResolvers<void>();
    ctx.signal.addEventListener("abort", () => resolve());
    let told: HealthStatus | undefined;
    while (!ctx.signal.aborted) {
      const changed = this.#changed.promise;
      const status = this.#status(service);
      if (status !== told) yield { status };
      told = status;
      await Promise.race([changed, left]);
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
