import { serveWorker } from "@erpc/erpc/worker";
import { countPrimes, Primes } from "./contract.ts";

serveWorker(Primes, { there: ({ below }) => countPrimes(below) });
