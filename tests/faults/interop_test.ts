/** The whole table on every way between client and server: in memory, through sockets, and through sockets that crumble. */
import { interopCases } from "../support/interop_cases.ts";
import { openOn, paths } from "../support/interop.ts";

for (const path of paths) {
  // Slices are a row of their own.
  const row = path.name.includes("slices") ? "X34 " : "";
  for (const { name, run } of interopCases) Deno.test(`${row}${name}, ${path.name}`, () => run(openOn(path)));
}
