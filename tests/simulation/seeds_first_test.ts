/** Half of the slice; the other half is a file of its own, so that two processors share the work. */
import { runSlice } from "./slice.ts";

Deno.test("simulation: seeds 1 to 150 keep every invariant, and come out the same twice", () => runSlice(1, 150));
