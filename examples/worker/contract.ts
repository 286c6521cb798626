import { service, unary } from "@erpc/erpc";

/** Counts primes, which takes a while. */
export const Primes = service("demo.Primes", {
  here: unary<{ below: number }, number>(),
  there: unary<{ below: number }, number>(),
});

/** How many primes there are below a number, the slow way. */
export function countPrimes(below: number): number {
  let count = 0;
  next: for (let number = 2; number < below; number++) {
    for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) continue next;
    count++;
  }
  return count;
}
