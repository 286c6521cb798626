/**
 * Writes the table "folder | lines | exports" into README.md.
 *
 *     deno run --allow-read --allow-write tests/tools/readme.ts
 */
const ROOT = new URL("../../", import.meta.url);

/** The folders in the order in which they may import each other, with what each is for. */
export const FOLDERS: readonly [string, string][] = [
  ["core", "codes, errors, calls, contracts, metadata, time and chance"],
  ["protocol", "bytes ⇄ frames, pure"],
  ["codec", "messages ⇄ bytes: json, bytes"],
  ["transport", "endpoints; connections that carry bytes: tcp, tls, unix, memory"],
  ["registry", "instances, leases, the registry in memory"],
  ["interceptor", "what is wrapped around calls: retry, hedge, breaker, log, trace"],
  ["admission", "which calls run, wait, or are refused"],
  ["connection", "one socket: streams, credit, keepalive"],
  ["balancer", "instances → one"],
  ["store", "registries over a store: what it lists is mirrored, and kept while it is away"],
  ["channel", "one endpoint as an invoker: dial, share, redial"],
  ["host", "listens, routes, runs handlers, drains"],
  ["routing", "rules: which calls go to which instances"],
  ["center", "the center's contract, the center, the registry that asks one"],
  ["cluster", "many instances as one invoker"],
  ["server", "a host that registers itself"],
  ["client", "a contract as a plain typed object"],
  ["", "the quick start, and the types for extending"],
  ["msgpack", "entry: the MessagePack codec"],
  ["etcd", "entry: a registry in etcd"],
  ["worker", "entry: handlers in threads of their own"],
  ["redis", "entry: a registry in Redis"],
  ["zookeeper", "entry: a registry in ZooKeeper"],
  ["testing", "entry: suites and clocks for tests"],
  ["cli", "entry: the command line"],
];

/** Makes the table from the files as they are. */
export function table(): string {
  const rows = FOLDERS.map(([folder, what]) => {
    let lines = 0;
    let exports = 0;
    const path = new URL(folder === "" ? "src/" : `src/${folder}/`, ROOT);
    for (const entry of Deno.readDirSync(path)) {
      if (!entry.isFile || !entry.name.endsWith(".ts")) continue;
      const text = Deno.readTextFileSync(new URL(entry.name, path));
      lines += text.split("\n").length - 1;
      exports += [...text.matchAll(/^export (?!type \{|\{|\*)/gm)].length;
    }
    return `| \`src/${folder}${folder === "" ? "*.ts" : "/"}\` | ${what} | ${lines} | ${exports} |`;
  });
  return ["| folder | what it is for | lines | exports |", "| --- | --- | --: | --: |", ...rows].join("\n");
}

/** README.md with the table as it should be. */
export function updated(readme: string): string {
  return readme.replace(/(<!-- table[^>]*-->)[\s\S]*?(<!-- end -->)/, `$1\n\n${table()}\n\n$2`);
}

if (import.meta.main) {
  const path = new URL("README.md", ROOT);
  Deno.writeTextFileSync(path, updated(Deno.readTextFileSync(path)));
}
