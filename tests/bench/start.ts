/** Cold start: a fresh process imports the kit, listens, dials and has its first answer. */
import { median } from "./load.ts";
import type { Section } from "./section.ts";

const PROGRAM = new URL("programs/start.ts", import.meta.url).pathname;

/** From nothing to the first answer. */
export const startSection: Section = {
  name: "start",
  roles: {},
  async run({ rounds }) {
    const runs: { importMs: number; callMs: number }[] = [];
    // The first run fills the cache of the compiler.
    for (let round = 0; round <= rounds; round++) {
      const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-check", PROGRAM] });
      const { code, stdout } = await command.output();
      if (code !== 0) throw new Error(`Cannot measure a cold start: it ended with code ${code}`);
      if (round > 0) runs.push(JSON.parse(new TextDecoder().decode(stdout)));
    }
    const rowOf = (what: string, values: number[]) => ({
      what,
      ms: median(values),
      minMs: Math.min(...values),
      maxMs: Math.max(...values),
    });
    return {
      title: "Cold start, in process: mod.ts imported, a server listening, a client connected, one call answered",
      columns: [
        { key: "what", title: "what" },
        { key: "ms", title: "ms", digits: 1 },
        { key: "minMs", upTo: "maxMs", title: "min–max", digits: 1 },
      ],
      rows: [
        rowOf("import", runs.map(({ importMs }) => importMs)),
        rowOf("first call", runs.map(({ callMs }) => callMs)),
        rowOf("both", runs.map(({ importMs, callMs }) => importMs + callMs)),
      ],
    };
  },
};
