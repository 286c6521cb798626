import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** The `deno.json` that README.md tells users to write, for a project of their own. */
const CONFIG = /```json\n([\s\S]*?)```/.exec(Deno.readTextFileSync(new URL("README.md", ROOT)))![1];

const PROGRAM = `
import { call, close, handle, listen, listenCenter } from "@erpc/erpc";
import { testPair } from "@erpc/erpc/testing";

await using center = await listenCenter("tcp://127.0.0.1:0");
handle("demo.hello", ({ name }) => \`Hello, \${name}!\`);
await listen();
console.log(await call("demo.hello", { name: "you" }), typeof testPair);
await close();
`;

Deno.test("a project of one's own, with deno.json as in README.md, finds the package, with --allow-net alone", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const config = JSON.parse(CONFIG);
    assertEquals(config.links, ["../erpc"]);
    config.links = [ROOT.pathname];
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
    await Deno.writeTextFile(`${folder}/main.ts`, PROGRAM);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--allow-net=127.0.0.1", "main.ts"],
      cwd: folder,
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals([code, out], [0, "Hello, you! function\n"], err);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
