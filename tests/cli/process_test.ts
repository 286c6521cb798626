/** The program as people run it: a process of its own, with pipes and signals. */
import { assertEquals, assertMatch } from "@std/assert";
import { Server, serverStream, service } from "@erpc/erpc";
import { within } from "../../src/testing/contract.ts";

const CLI = new URL("../../src/cli/cli.ts", import.meta.url).pathname;

function command(args: string[], options: Deno.CommandOptions = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", CLI, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  });
}

async function erpc(args: string[], stdin?: string): Promise<{ code: number; out: string; err: string }> {
  await using child = command(args, { stdin: stdin === undefined ? "null" : "piped" }).spawn();
  if (stdin !== undefined) await new Response(stdin).body?.pipeTo(child.stdin);
  const { code, stdout, stderr } = await within(child.output(), `erpc ${args.join(" ")}`, 60_000);
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Reads a stream until what came matches, and gives the rest back to be read to its end. */
async function until(
  stream: ReadableStream<Uint8Array>,
  pattern: RegExp,
): Promise<{ match: RegExpExecArray; rest: () => Promise<string> }> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const more = async () => {
    const { done, value } = await within(reader.read(), `${pattern} in ${JSON.stringify(text)}`, 60_000);
    text += value ?? "";
    return !done;
  };
  for (;;) {
    const match = pattern.exec(text);
    if (match !== null) {
      return {
        match,
        async rest() {
          while (await more());
          return text;
        },
      };
    }
    if (!await more()) throw new Error(`${pattern} never came: ${JSON.stringify(text)}`);
  }
}

Deno.test("erpc as a process, a center with a server, list and call and watch, signals end it with exit code 0", async () => {
  await using center = command(["center", "--listen", "tcp://127.0.0.1:0"]).spawn();
  const log = await until(center.stderr, /The center listens on (\S+)/);
  const [, endpoint] = log.match;
  const at = ["--center", endpoint];
  {
    await using server = new Server({ center: endpoint, id: "words-1" });
    server.handle("demo.double", (n: number) => 2 * n);
    await server.listen();

    await using watch = command(["watch", "*", ...at]).spawn();
    const changes = await until(watch.stdout, /\+ {2}words-1 .*listed\n/);
    const listed = await erpc(["list", ...at]);
    assertEquals([listed.code, listed.err], [
      0,
      "The center has just started: what is missing may not have returned yet\n",
    ]);
    // deno-lint-ignore no-control-regex
    assertMatch(listed.out, /^SERVICE +INSTANCE[^\x1b]*\ndemo +words-1 +tcp:[^\x1b]*\n$/);
    assertEquals(await erpc(["call", "demo.double", "-", ...at], "21"), { code: 0, out: "42\n", err: "" });

    watch.kill("SIGINT");
    assertEquals((await watch.status).code, 0);
    assertMatch(await changes.rest(), /^.*listed\n$/);
    await watch.stderr.cancel();
  }
  center.kill("SIGTERM");
  assertEquals((await center.status).code, 0);
  assertMatch(await log.rest(), /The center is closed\n$/);
  await center.stdout.cancel();
});

Deno.test("erpc as a process, usage errors and failures, exit codes 2 and 1", async () => {
  const usage = await erpc(["lsit"]);
  assertEquals([usage.code, usage.out], [2, ""]);
  assertMatch(usage.err, /did you mean "list"\?/);
  const failure = await erpc(["call", "demo.hello", "--center", "tcp://127.0.0.1:1"]);
  assertEquals([failure.code, failure.out], [1, ""]);
  assertMatch(failure.err, /^unavailable: .*Connection refused/);
});

Deno.test("erpc as a process, whoever reads its output leaves, it ends and cancels the call", async () => {
  const Numbers = service("demo.Numbers", { all: serverStream<unknown, number>() });
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  await using server = new Server();
  server.handle(Numbers, {
    async *all() {
      try {
        for (let n = 0;; n++) yield n;
      } finally {
        resolve();
      }
    },
  });
  await server.listen();
  await using child = command(["call", "demo.Numbers/all", "--stream", "--to", server.endpoint]).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals((await child.status).code, 141);
  assertEquals(await new Response(child.stderr).text(), "");
  await ended;
});
