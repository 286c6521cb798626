import { assert, assertEquals } from "@std/assert";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { REDIAL } from "../../src/core/backoff.ts";
import { checkRetry } from "../../src/interceptor/retry.ts";
import { FOLDERS, updated } from "../tools/readme.ts";

const ROOT = new URL("../../", import.meta.url);
const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]);

Deno.test("README: center, server and client take under 30 lines", () => {
  const block = blocks.find((block) => block.includes("new Center()") && block.includes("new Client("))!;
  const lines = block.split("\n").filter((line) => line.trim() !== "");
  assert(lines.length < 30, `${lines.length} lines`);
});

Deno.test("README: the table of folders is up to date (else run `deno task readme`)", () => {
  const plain = (text: string) => text.replace(/[ -]+/g, " ");
  assertEquals(plain(updated(readme)), plain(readme));
});

Deno.test("README: the table of folders has every folder", () => {
  const folders = [...Deno.readDirSync(new URL("src/", ROOT))].filter(({ isDirectory }) => isDirectory);
  const listed = FOLDERS.map(([name]) => name).filter((name) => name !== "");
  assertEquals(listed.sort(), folders.map(({ name }) => name).sort());
});

Deno.test("README: every file that is linked to is there", () => {
  for (const [, link] of readme.matchAll(/\]\(([^)#:]+)\)/g)) Deno.statSync(new URL(link, ROOT));
});

Deno.test("README: every task that is named is there", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  for (const [, task] of readme.matchAll(/deno(?:@[\d.]+)? task ([\w:]+)/g)) assert(task in tasks, task);
});

Deno.test("README: every entry point, every example and every command is in its table", () => {
  const { exports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  for (const entry of Object.keys(exports)) {
    assert(readme.includes(`| \`@erpc/erpc${entry.slice(1)}\` `), entry);
  }
  for (const { name, isFile } of Deno.readDirSync(new URL("examples/", ROOT))) {
    if (isFile) assert(readme.includes(`| [${name}](examples/${name}) `), name);
  }
  const cli = Deno.readTextFileSync(new URL("src/cli/cli.ts", ROOT));
  const commands = /\[([\w, ]+)\]\.map\(\(each\) => \[each\.name/.exec(cli)![1].split(", ");
  for (const name of commands) assert(readme.includes(`\`erpc ${name}`), name);
});

/** What a duration or a size looks like in the table. */
const seconds = (ms: number) => `${ms / 1_000} s`;
const kibibytes = (bytes: number) => bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`;

Deno.test("README: the defaults are those of the code", () => {
  const limits = DEFAULT_LIMITS;
  const retry = checkRetry({});
  const rows: [string, string][] = [
    ["stream that nobody reads", seconds(limits.streamStallMs)],
    ["message", kibibytes(limits.maxMessageBytes)],
    ["metadata", `${kibibytes(limits.maxMetadataBytes)}, ${limits.maxMetadataEntries} pairs`],
    ["calls at once per connection", `${limits.maxStreams}`],
    ["attempts", `${retry.maxAttempts}`],
    ["pause between them", `${retry.firstBackoffMs / 1_000} s × 2 ≤ ${seconds(retry.maxBackoffMs)}`],
    ["retry budget per service", `${retry.budgetTokens} tokens, ${retry.tokensPerSuccess} a success`],
    ["keepalive, busy / idle", `${seconds(limits.keepaliveMs)} / ${seconds(limits.idleKeepaliveMs)}`],
    ["redial", `${REDIAL.firstMs / 1_000} s × ${REDIAL.factor} ≤ ${seconds(REDIAL.maxMs)}`],
    ["connections with an instance", `1, up to ${limits.maxConnectionsPerInstance}`],
    ["idle connection", `${limits.idleMs / 60_000} min`],
    ["hops", `${limits.maxHops}`],
  ];
  const cells = readme.replace(/ +/g, " ");
  for (const [setting, value] of rows) assert(cells.includes(`| ${setting} | ${value} |`), `${setting}: ${value}`);
});
