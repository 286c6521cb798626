/** What one connection with a center takes up. */
import type { Lease } from "../registry/registry.ts";

/** An instance that was registered over a connection. */
interface Held {
  readonly ttlMs: number;
  /** `undefined` while the registry has yet to answer. */
  token: string | undefined;
  /** Until when its lease lasts at least. */
  until: number;
}

/** What one connection takes up. Pure: it takes the time it is told. */
export class Use {
  /** How many watches it has open. */
  watchers = 0;
  readonly #instances = new Map<string, Held>();

  /** How many instances it has registered. */
  get instances(): number {
    return this.#instances.size;
  }

  /**
   * Makes sure that another instance, or one that it has already, may be registered. Forgets those that are gone, if it must.
   * @param isGone whether an instance has no lease any more; `undefined` where only its time tells
   */
  hasRoom(id: string, max: number, now: number, isGone: ((id: string) => boolean) | undefined): boolean {
    if (this.#instances.has(id) || this.#instances.size < max) return true;
    for (const [other, { until, token }] of this.#instances) {
      if (token !== undefined && (isGone?.(other) ?? until <= now)) this.#instances.delete(other);
    }
    return this.#instances.size < max;
  }

  /** Counts an instance while it is registered, and from then on if that succeeds. */
  async register(id: string, ttlMs: number, now: () => number, registering: () => Promise<Lease>): Promise<Lease> {
    const before = this.#instances.get(id);
    const held: Held = { ttlMs, token: undefined, until: Infinity };
    this.#instances.set(id, held);
    try {
      const lease = await registering();
      held.token = lease.token;
      held.until = now() + ttlMs;
      return lease;
    } catch (error) {
      if (this.#instances.get(id) === held) {
        if (before === undefined) this.#instances.delete(id);
        else this.#instances.set(id, before);
      }
      throw error;
    }
  }

  /** A lease was renewed. */
  renewed({ instanceId, token }: Lease, now: number): void {
    const held = this.#instances.get(instanceId);
    if (held?.token === token) held.until = now + held.ttlMs;
  }

  /** A lease has ended. */
  ended({ instanceId, token }: Lease): void {
    if (this.#instances.get(instanceId)?.token === token) this.#instances.delete(instanceId);
  }
}
