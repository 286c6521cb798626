import { assert, assertEquals } from "@std/assert";
import { updated } from "../tools/readme.ts";

const readme = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
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

Deno.test("README: every file that is linked to is there", () => {
  for (const [, link] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    Deno.statSync(new URL(link, new URL("../../", import.meta.url)));
  }
});

Deno.test("README: every task that is named is there", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)));
  for (const [, task] of readme.matchAll(/deno(?:@[\d.]+)? task (\w+)/g)) assert(task in tasks, task);
});
