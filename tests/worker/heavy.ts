import { clientStream, failure, oneway, serverStream, service, unary } from "@erpc/erpc";

/** What the tests' workers answer. */
export const Heavy = service("t.Heavy", {
  add: unary<{ a: number; b: number }, { sum: number }>({ idempotent: true }),
  spin: unary<undefined, void>(),
  poll: unary<undefined, string>(),
  late: unary<{ ms: number }, string>(),
  deaf: unary<undefined, void>(),
  wait: unary<undefined, string>(),
  fail: unary<{ how: string }, unknown>(),
  about: unary<undefined, unknown>(),
  numbers: serverStream<{ to: number; spinAt?: number; failAt?: number }, number>(),
  note: oneway<string>(),
  noted: unary<undefined, string[]>(),
  total: clientStream<number, number>(),
  absent: unary<undefined, void>(),
}, { errors: { tooLarge: failure<{ most: number }>("out_of_range") } });
