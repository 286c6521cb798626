/**
 * Where time and chance come in. This is the only file of the kit that touches the runtime's clocks, timers and chance,
 * and its environment; everything else takes a {@link Platform}, so that a whole cluster can run on one that a test drives.
 */

/** Clocks and timers. */
export interface Clock {
  /** Milliseconds on a clock that never jumps. Only differences mean anything. */
  now(): number;
  /** Milliseconds since 1970, for people and for incarnations; never for measuring. */
  wall(): number;
  /** Runs `fire` once, `ms` from now at the earliest. Disposing it before that cancels it. */
  timer(ms: number, fire: () => void): Disposable;
}

/** Chance. */
export interface Random {
  /** A whole number from 0 to 2^32 − 1, each as likely. */
  u32(): number;
}

/** Time and chance, handed in. */
export interface Platform {
  /** Clocks and timers. */
  readonly clock: Clock;
  /** Chance. */
  readonly random: Random;
  /** Resolves in a later turn of the event loop: others that are ready have had theirs. */
  turn(): Promise<void>;
  /** After how many turns in a row input that is waiting has been seen, whatever else there is to do. Default 1. */
  readonly inputTurns?: number;
}

/** The longest that a timer of the runtime can be; longer ones would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

class RuntimeTimer implements Disposable {
  readonly #id: number;

  constructor(ms: number, fire: () => void) {
    this.#id = setTimeout(fire, Math.min(Math.max(0, ms), MAX_TIMER_MS)) as unknown as number;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#id);
  }
}

const drawn = new Uint32Array(256);
let next = drawn.length;

const immediate: (run: () => void) => unknown =
  (globalThis as { setImmediate?: (run: () => void) => unknown }).setImmediate ?? ((run) => setTimeout(run, 0));

/**
 * As long as a program has something to do in every turn, Deno looks for input in every 61st of them alone (the
 * `event_interval` of its scheduler). So many empty turns take some 60 µs.
 */
const INPUT_TURNS = 61;

/** The runtime's own time and chance: the default everywhere. */
export const runtimePlatform: Platform = {
  clock: {
    now: () => performance.now(),
    wall: () => Date.now(),
    timer: (ms, fire) => new RuntimeTimer(ms, fire),
  },
  random: {
    u32() {
      if (next === drawn.length) {
        crypto.getRandomValues(drawn);
        next = 0;
      }
      return drawn[next++];
    },
  },
  turn: () => new Promise((resolve) => immediate(resolve)),
  inputTurns: INPUT_TURNS,
};

/** Resolves once input that is waiting has been seen. */
export function inputSeen(platform: Platform, turns: number = platform.inputTurns ?? 1): Promise<void> {
  return turns === 1 ? platform.turn() : platform.turn().then(() => inputSeen(platform, turns - 1));
}

/** A fraction from 0 up to but not including 1. */
export function fraction(random: Random): number {
  return random.u32() / 2 ** 32;
}

/** A whole number from 0 up to but not including `bound`. */
export function below(random: Random, bound: number): number {
  return Math.floor(fraction(random) * bound);
}

/** Text of `digits` hexadecimal digits, for identities. */
export function hexId(random: Random, digits: number): string {
  let text = "";
  while (text.length < digits) text += random.u32().toString(16).padStart(8, "0");
  return text.slice(0, digits);
}

/** A variable of the process's environment, or `undefined` when it is not set. Throws what the runtime does when it may not be read. */
export function environment(name: string): string | undefined {
  const { Deno, process } = globalThis as {
    Deno?: { env: { get(name: string): string | undefined } };
    process?: { env: Record<string, string | undefined> };
  };
  return Deno === undefined ? process?.env[name] : Deno.env.get(name);
}
