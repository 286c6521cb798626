/**
 * Ten servers replaced one after the other under load, processes all of them. A short slice of it always; the whole, a minute of
 * 1 000 calls a second each way, with ERPC_LONG=1.
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { Program } from "../examples/program.ts";

const WHOLE = Deno.env.get("ERPC_LONG") === "1";
const [servers, perSecond, seconds] = WHOLE ? [10, 1_000, 60] : [3, 200, 4];

/** Runs examples/deploy.ts, and gives the figures of its last line. */
async function deploy(...how: string[]) {
  await using program = new Program("deploy.ts", ...[servers, perSecond, seconds].map(String), ...how);
  // Each takes its part of the time, which a process that has hung would not.
  for (let n = 0; n < servers; n++) await program.line(new RegExp(`^old-${n} `));
  const { code, stdout, stderr } = await program.ended();
  if (WHOLE) console.log(stdout);
  const last = stdout.trim().split("\n").at(-1)!;
  const [calls, failed, failedTwice, sentAgain, lost] = last.match(/\d+/g)!.map(Number);
  return { code, calls, failed, failedTwice, sentAgain, lost, said: stdout + stderr };
}

Deno.test("X24 a rolling deploy under load, no call fails, although most may not be tried again", async () => {
  const { code, calls, failed, lost, said } = await deploy();
  assertEquals([code, calls, failed, lost], [0, perSecond * seconds, 0, 0], said);
});

Deno.test("X25 a deploy that kills, what was running on the killed may fail, unless it may run twice", async () => {
  const { code, calls, failed, failedTwice, lost, said } = await deploy("kill");
  assertEquals([code, calls, failedTwice], [0, perSecond * seconds, 0], said);
  assertLessOrEqual(failed, lost, said);
  assert(!WHOLE || lost > 0, "nothing was running on those that were killed: the deploy shows nothing");
});
