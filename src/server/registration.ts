/** Keeps a server registered with every registry that it has: each on its own, so that none holds up another. */
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";
import {
  type Farewell,
  Registrar,
  type RegistrarOptions,
  type RegistrarStatus,
  type RegistrationState,
} from "../registry/registrar.ts";
import type { Registry } from "../registry/registry.ts";

/** Where a server's registration stands. */
export interface RegistrationStatus {
  /**
   * `registered` as soon as one of the registries lists it, otherwise where the first of them stands; `none` when the server
   * registers nowhere, or does not listen yet.
   */
  readonly state: RegistrationState | "none";
  /** How it goes with each of them. */
  readonly centers: readonly RegistrarStatus[];
}

/** A registry with the name by which it goes in logs and figures. */
export interface NamedRegistry {
  readonly name: string;
  readonly registry: Registry;
}

/** Keeps a server registered with every registry that it has. Whoever makes one stops it. */
export class Registration {
  readonly #registrars: readonly Registrar[];

  /** Begins to register. @param describe gives what to register with one of them */
  constructor(
    registries: readonly NamedRegistry[],
    describe: (registry: NamedRegistry) => Instance | Promise<Instance>,
    platform: Platform,
    logger: Logger,
    options: Omit<RegistrarOptions, "name" | "leases">,
  ) {
    const leases = () => this.#registrars.flatMap(({ lease }) => lease ?? []);
    this.#registrars = registries.map((named) => {
      const { name, registry } = named;
      return new Registrar(registry, () => describe(named), platform, logger, { ...options, name, leases });
    });
  }

  /** Where it stands. */
  get status(): RegistrationStatus {
    const centers = this.#registrars.map((registrar) => registrar.status);
    const best = centers.find(({ state }) => state === "registered") ?? centers[0];
    return { state: best.state, centers };
  }

  /** Resolves once any registry lists it, or all have failed to for the first time. */
  async attempted(): Promise<void> {
    const registered = this.#registrars.map((registrar) => registrar.registered);
    await Promise.race([...registered, Promise.all(this.#registrars.map((registrar) => registrar.attempted))]);
  }

  /** What is registered has changed. */
  update(): void {
    for (const registrar of this.#registrars) registrar.update();
  }

  /** Ends it at once, and the listing everywhere. Never rejects. */
  async stop(): Promise<void> {
    await Promise.all(this.#registrars.map((registrar) => registrar.stop()));
  }

  /**
   * Ends it in good order: the listing everywhere too, and waits for the proof that whoever follows it has acted on that. Never
   * rejects; gives up when the signal aborts.
   */
  leave(signal: AbortSignal): Promise<Farewell[]> {
    return Promise.all(this.#registrars.map((registrar) => registrar.leave("drained", signal)));
  }
}
