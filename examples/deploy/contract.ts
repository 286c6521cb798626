/** What the servers of the deploy answer, with their names. */
import { service, unary } from "@erpc/erpc";

export const Work = service("demo.Work", {
  /** May not run twice, so that it is not tried again when nobody knows whether it ran. */
  once: unary<number, string>(),
  again: unary<number, string>({ idempotent: true }),
});
