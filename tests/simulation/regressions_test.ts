import { REGRESSIONS } from "./regressions.ts";
import { runSlice } from "./slice.ts";

for (const { seed, found } of REGRESSIONS) {
  Deno.test(`simulation: seed ${seed}, which found that ${found}`, () => runSlice(seed, 1));
}
