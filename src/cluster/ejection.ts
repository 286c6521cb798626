import type { Logger } from "../core/logger.ts";
import type { Timers } from "../core/timers.ts";
import { decide, type EjectionOptions } from "./ejector.ts";
import type { Member } from "./member.ts";

/** Decides again and again who of a service is left out, for as long as there is anything to decide. */
export class Ejection {
  readonly options: Readonly<Required<EjectionOptions>>;
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #members: () => readonly Member[];
  readonly #onChange: () => void;
  #timer: Disposable | undefined;

  constructor(
    options: Readonly<Required<EjectionOptions>>,
    timers: Timers,
    logger: Logger,
    members: () => readonly Member[],
    onChange: () => void,
  ) {
    this.options = options;
    this.#timers = timers;
    this.#logger = logger;
    this.#members = members;
    this.#onChange = onChange;
  }

  /** A call has ended, so that there is something to decide when the interval is over. */
  callEnded(): void {
    this.#timer ??= this.#timers.after(this.options.intervalMs, () => this.#decide());
  }

  /** Decides no more. */
  stop(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #decide(): void {
    this.#timer = undefined;
    const members = this.#members();
    const counted = members.map(({ good, bad }) => ({ good, bad }));
    const { ejected, returned } = decide(members, this.options, this.#timers.clock.now());
    for (const member of ejected) {
      member.ejections++;
      const { good, bad } = counted[members.indexOf(member)];
      this.#logger.warn(
        `Ejected instance "${member.instance.id}" at ${member.endpoint}: it failed ${bad} of ${good + bad} calls`,
      );
    }
    for (const { instance } of returned) this.#logger.info(`Instance "${instance.id}" is no longer ejected`);
    if (ejected.length > 0 || returned.length > 0) this.#onChange();
    // Time goes on for those who are ejected, or were; and for whoever had calls there may be more.
    if (members.some(({ times }, n) => times > 0 || counted[n].good + counted[n].bad > 0)) this.callEnded();
  }
}
