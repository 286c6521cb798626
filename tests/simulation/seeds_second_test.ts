/** Half of the slice; the other half is a file of its own, so that two processors share the work. */
import { runSlice } from "./slice.ts";

Deno.test("simulation: seeds 151 to 300 keep every invariant, and come out the same twice", () => runSlice(151, 150));
