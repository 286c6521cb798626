/** Holds the drawing of the architecture: who may import whom, and who may touch the runtime. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** A file imports only from its own folder, or from one with a lower number. */
const LEVELS = new Map([
  ["core", 0],
  ["protocol", 1],
  ["codec", 1],
  ["transport", 1],
  ["registry", 1],
  ["interceptor", 1],
  ["admission", 1],
  ["connection", 2],
  ["balancer", 2],
  ["store", 2],
  ["channel", 3],
  ["host", 3],
  ["routing", 3],
  ["center", 4],
  ["cluster", 4],
  ["server", 5],
  ["client", 5],
  ["", 6], // files directly in src/
  ["msgpack", 7],
  ["etcd", 7],
  ["redis", 7],
  ["zookeeper", 7],
  ["testing", 7],
  ["worker", 7],
  ["cli", 8],
]);

/** Entries of their own: nothing else imports them, but the command line those that it is asked for. */
const ENTRIES = new Set(["msgpack", "etcd", "worker", "testing", "cli", "redis", "zookeeper"]);

interface Source {
  readonly path: string;
  readonly folder: string;
  /** The text without comments and without what stands in quotes. */
  readonly code: string;
  readonly imports: readonly string[];
}

function* filesBelow(folder: URL): Generator<URL> {
  for (const entry of Deno.readDirSync(folder)) {
    const url = new URL(entry.name + (entry.isDirectory ? "/" : ""), folder);
    if (entry.isDirectory) yield* filesBelow(url);
    else if (entry.name.endsWith(".ts")) yield url;
  }
}

function parse(url: URL): Source {
  const text = Deno.readTextFileSync(url);
  const path = url.pathname.slice(ROOT.pathname.length);
  const parts = path.split("/");
  const bare = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
  const imports = [...bare.matchAll(/(?:from\s*|import\s*\(?\s*)"([^"]+)"/g)].map((match) => match[1]);
  const code = bare.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\$]|\\.)*`/g, '""');
  return { path, folder: parts.length > 2 ? parts[1] : "", code, imports };
}

const sources = [...filesBelow(new URL("src/", ROOT))].map(parse);

/** `file: what` for each file whose code matches, with the exceptions left out. */
function findings(pattern: RegExp, except: (source: Source) => boolean): string[] {
  return sources.filter((source) => !except(source)).flatMap((source) =>
    [...source.code.matchAll(pattern)].map((match) => `${source.path}: ${match[0]}`)
  );
}

Deno.test("imports inside src only point down", () => {
  const wrong: string[] = [];
  for (const { path, folder, imports } of sources) {
    const level = LEVELS.get(folder);
    if (level === undefined) wrong.push(`${path}: folder "${folder}" is not in the drawing`);
    for (const specifier of imports.filter((specifier) => specifier.startsWith("."))) {
      const target = new URL(specifier, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length).split("/");
      const other = target.length > 2 ? target[1] : "";
      if (other === folder) continue;
      if ((ENTRIES.has(other) && folder !== "cli") || (LEVELS.get(other) ?? Infinity) >= (level ?? -1)) {
        wrong.push(`${path} imports ${specifier}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("nothing reachable from mod.ts has a package specifier", () => {
  const seen = new Set<string>();
  const outside: string[] = [];
  const visit = (url: URL) => {
    if (seen.has(url.href)) return;
    seen.add(url.href);
    for (const specifier of parse(url).imports) {
      if (/^\.{1,2}\//.test(specifier)) visit(new URL(specifier, url));
      else if (!specifier.startsWith("node:")) {
        outside.push(`${url.pathname.slice(ROOT.pathname.length)}: ${specifier}`);
      }
    }
  };
  visit(new URL("mod.ts", ROOT));
  assertEquals(outside, []);
  assertEquals(seen.size > 40, true, `only ${seen.size} files were seen`);
});

Deno.test("clocks, timers and chance are named in the platform seam alone", () => {
  const pattern =
    /\b(setTimeout|setInterval|setImmediate|Date|performance|Math\.random|crypto\.getRandomValues|crypto\.randomUUID|AbortSignal\.timeout)\b/g;
  // The command line prints times for people; the testing entry replaces the seam.
  assertEquals(
    findings(
      pattern,
      ({ path, folder }) => path === "src/core/platform.ts" || folder === "testing" || folder === "cli",
    ),
    [],
  );
});

Deno.test("Deno is named in transport, cli and the platform seam alone", () => {
  assertEquals(
    findings(
      /\bDeno\b/g,
      ({ path, folder }) => path === "src/core/platform.ts" || folder === "transport" || folder === "cli",
    ),
    [],
  );
});

Deno.test("threads are started in src/worker alone", () => {
  assertEquals(findings(/\bWorker\(/g, ({ folder }) => folder === "worker"), []);
});

Deno.test("mod.ts exports at most 60 names, none by star, and has no code", () => {
  const text = Deno.readTextFileSync(new URL("mod.ts", ROOT)).replace(/\/\*[\s\S]*?\*\//g, "").replace(
    /^\/\/.*$/gm,
    "",
  );
  const names = [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap((match) =>
    match[1].split(",").map((name) => name.trim()).filter((name) => name !== "")
  );
  assertEquals(names.length <= 60, true, `${names.length} names`);
  assertEquals(text.replace(/export (?:type )?\{[^}]*\} from "[^"]+";/g, "").trim(), "");
});
