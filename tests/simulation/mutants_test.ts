/** The simulator finds bugs: that is what it is for. The whole table is made by `deno task mutants`. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { configOf } from "./config.ts";
import { hunt, parseMutant, plant, readMutants } from "./mutants.ts";
import { describeFailure } from "./report.ts";
import { run } from "./run.ts";
import { replayCommand } from "./shrink.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("mutants: every planted bug still has its place in src/", () => {
  const mutants = readMutants();
  assert(mutants.length >= 15, `${mutants.length}`);
  for (const { name, what, changes } of mutants) {
    assertMatch(what, /^[A-Z].*\.$/, name);
    const texts = new Map<string, string>();
    for (const change of changes) {
      const text = texts.get(change.file) ?? Deno.readTextFileSync(new URL(change.file, ROOT));
      texts.set(change.file, plant(text, change, name));
    }
  }
});

Deno.test("mutants: a bug that was planted is found, and nothing is found without one", async () => {
  const bug = readMutants().find(({ name }) => name === "requests_end_when_cut")!;
  const found = await hunt(bug, 20);
  assertEquals(found?.invariant, "5 streams");
  const comment = { ...bug, changes: [{ file: "mod.ts", from: "// Observe.\n", to: "// Watch.\n" }] };
  assertEquals(await hunt(comment, 5), undefined);
});

Deno.test("mutants: what is not written as it should be is refused", () => {
  for (const text of ["What.\n", "What.\n=== a.ts\nno end\n", "What.\n=== a.ts\na\n---\nb\n---\nc\n"]) {
    assertThrows(() => parseMutant("m", text), TypeError, 'mutant "m"');
  }
  const { changes: [change] } = parseMutant("m", "What.\n=== a.ts\none\n---\nother\n");
  assertEquals(plant("a one b", change, "m"), "a other b");
  for (const text of ["two", "one one"]) assertThrows(() => plant(text, change, "m"), TypeError, "stands there");
});

Deno.test("a failure prints its seed, what it is made of, its last events, and the command that shows it again", async () => {
  const outcome = await run(configOf(7, { ops: 5 }));
  assertEquals(outcome.problems, []);
  const problems = [{ invariant: "1 settle once", seen: "c0.0 never ended", at: 5 }];
  const text = describeFailure({ ...outcome, problems }, { ops: 5, without: ["crash", "wall"] }, "abc1234");
  for (
    const part of [
      "FAILED: seed 7 at abc1234",
      "1 settle once, at 5.000: c0.0 never ended",
      "faults: ",
      "the last 200 events",
      '"what":"end"',
      "again: deno task simulate --seed 7 --ops 5 --without crash,wall",
    ]
  ) assert(text.includes(part), part);
  assertEquals(replayCommand(3, {}), "deno task simulate --seed 3");
});
