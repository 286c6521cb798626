/**
 * What to do when more leases run out than servers can have died: the network, or the registry itself, is the likelier cause.
 * Then those that are silent stay listed, and leave a few at a time, until most have returned or it has gone on for too long.
 *
 * States: idle → holding (more than half, and at least three, are silent when a lease runs out) → idle (85 % are back) or
 * over (it has lasted too long: no limit any more) → idle (85 % are back, or the silent have gone).
 */
export interface MassHoldOptions {
  /** How long it may last. */
  readonly maxMs: number;
  /** In how long a time `SHARE_LEAVING` of those that are listed may leave. */
  readonly perMs: number;
}

/** So many at least must be silent. */
const LEAST_SILENT = 3;
/** More than this share of all must be silent. */
const SHARE_SILENT = 0.5;
/** With no more than this share of silent ones it is over. */
const SHARE_BACK = 0.15;
/** This share of all, but at least one, may leave in each `perMs`. */
const SHARE_LEAVING = 0.15;

/** Whether leases that have run out may end now. */
export class MassHold {
  readonly #options: MassHoldOptions;
  #state: "idle" | "holding" | "over" = "idle";
  #since = 0;
  #periodAt = 0;
  #left = 0;

  constructor(options: MassHoldOptions) {
    this.#options = options;
  }

  /** Whether it keeps listed what would leave otherwise. */
  get isHolding(): boolean {
    return this.#state === "holding";
  }

  /**
   * Takes note of how things stand. To be told before each round of evictions.
   * @param silent how many of the `total` have not been heard for longer than they should have been
   * @param due whether the lease of any has run out
   */
  observe(now: number, total: number, silent: number, due: boolean): void {
    const { maxMs, perMs } = this.#options;
    if (this.#state !== "idle" && silent <= total * SHARE_BACK) this.#state = "idle";
    if (this.#state === "idle" && due && silent >= LEAST_SILENT && silent > total * SHARE_SILENT) {
      this.#state = "holding";
      this.#since = now;
      this.#periodAt = -Infinity;
    }
    if (this.#state !== "holding") return;
    if (now - this.#since >= maxMs) this.#state = "over";
    else if (now - this.#periodAt >= perMs) {
      this.#periodAt = now;
      this.#left = Math.max(1, Math.floor(total * SHARE_LEAVING));
    }
  }

  /** How many may leave now. */
  get allowance(): number {
    return this.#state === "holding" ? this.#left : Infinity;
  }

  /** One has left. */
  spend(): void {
    if (this.#state === "holding") this.#left--;
  }
}
