import type { Random } from "../core/platform.ts";
import { eager, type Pace } from "../channel/pace.ts";
import type { Counters } from "../connection/counters.ts";

/**
 * When an instance is dialled again that could not be reached. While the client sends calls to others, it finds out by itself
 * whether the instance is back, so that no call has to; a client that nobody uses dials nobody.
 */
export function probing(random: Random, counters: Counters): Pace {
  let sent = 0;
  return {
    ...eager(random),
    redials() {
      const used = counters.callsSent !== sent;
      sent = counters.callsSent;
      return used;
    },
  };
}
