import { textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Registry } from "../registry/registry.ts";
import type { CenterToken } from "../center/access.ts";
import { Center, type CenterQuotas, DEFAULT_CENTER_QUOTAS } from "../center/center.ts";
import { CENTER_ENDPOINT } from "../center/contract.ts";
import { type Args, checked, misuse, UsageError } from "./args.ts";
import type { Command } from "./command.ts";
import { parseJson } from "./input.ts";
import { untilStopped } from "./io.ts";
import { type Level, LEVELS, lineLogger } from "./log.ts";
import { openStore } from "./store.ts";
import { suggest } from "../core/suggest.ts";

/** Runs a center. */
export const center: Command = {
  name: "center",
  summary: "Run a center, where servers register and clients find them",
  operands: [],
  flags: [
    { name: "listen", value: "url", about: `where to listen (default ${CENTER_ENDPOINT})` },
    { name: "store", value: "url", about: "keep what it lists in etcd, Redis or ZooKeeper" },
    { name: "data", value: "folder", about: "keep its routing rules and revisions there" },
    { name: "token", value: "text", repeats: true, about: "let those who bring it do everything; repeatable" },
    { name: "tokens", value: "file", about: "a JSON list of tokens, each with what it is good for" },
    { name: "quota", value: "name=count", repeats: true, about: "how much it takes; repeatable" },
    { name: "log", value: "level", about: "debug, info, warn or error (default info)" },
  ],
  notes: [
    "It runs until it is interrupted, and logs to stderr. What it lists is in its",
    "memory; when it has been restarted, servers register again by themselves.",
    "",
    "Any number of centers may stand before one store, as may servers and clients that",
    "use the store themselves:",
    "",
    "  etcd://10.0.0.1:2379,10.0.0.2:2379/prefix    etcds:// for TLS, user:password@",
    "  redis://10.0.0.1:6379/database               rediss:// for TLS, user:password@",
    "  zookeeper://10.0.0.1:2181,10.0.0.2:2181/path",
    "",
    "Without tokens it serves those on the same machine and nobody else; with tokens,",
    "those who bring one. A file of them looks like this, and all but the token may be",
    'left out; "demo." means every service that begins so, "*" all of them:',
    "",
    '  [{"token":"…","owner":"ann","register":["demo."],"watch":["*"],"admin":false}]',
    "",
    `Quotas: ${Object.keys(DEFAULT_CENTER_QUOTAS).join(", ")}`.replace(/(.{1,80})(?:, |$)/g, "$1,\n").slice(0, -2),
    "",
    "  erpc center --listen tcp://127.0.0.1:0    takes any free port",
    "  erpc center --listen tcp://0.0.0.0:7700 --token $SECRET --data /var/lib/erpc",
  ],
  async run(args, io) {
    const logger = lineLogger(levelOf(args.get("log") ?? "info"), io);
    await using closing = new AsyncDisposableStack();
    const registry = await registryOf(args, logger, closing);
    const options = { logger, registry, data: args.get("data"), tokens: await tokensOf(args), quotas: quotasOf(args) };
    const center = checked(() => new Center(options));
    await center.listen(args.get("listen")).catch(misuse);
    // Not before: a center that listens nowhere holds nothing, and would only log that it is closed.
    closing.use(center);
    await untilStopped(io.signal);
    return 0;
  },
};

/** The store that it is to stand before, if any, which is left after the center has been closed. */
async function registryOf(
  args: Args,
  logger: Logger,
  closing: AsyncDisposableStack,
): Promise<Registry | undefined> {
  const url = args.get("store");
  if (url === undefined) return undefined;
  const { registry, leave } = await openStore(url, logger);
  closing.defer(leave);
  return registry;
}

async function tokensOf(args: Args): Promise<CenterToken[] | undefined> {
  const everything = { register: ["*"], watch: ["*"], admin: true };
  const tokens: CenterToken[] = args.all("token").map((token, at) => ({
    token,
    owner: `token ${at + 1}`,
    ...everything,
  }));
  const file = args.get("tokens");
  if (file === undefined) return tokens.length > 0 ? tokens : undefined;
  const found = await parseJson(readFile(file), `the tokens in ${file}`);
  if (!Array.isArray(found)) throw new UsageError(`Cannot use the tokens in ${file}: they must be a list`);
  return [...tokens, ...found];
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${textOf(error)}`);
  }
}

function quotasOf(args: Args): Partial<CenterQuotas> {
  return Object.fromEntries(
    args.all("quota").map((text) => {
      const match = /^(\w+)=(\d{1,15})$/.exec(text);
      if (match === null) throw new UsageError(`Cannot use quota "${text}": write it as name=count`);
      if (Object.hasOwn(DEFAULT_CENTER_QUOTAS, match[1])) return [match[1], Number(match[2])];
      const meant = suggest(match[1], Object.keys(DEFAULT_CENTER_QUOTAS));
      throw new UsageError(`There is no quota "${match[1]}"` + (meant ? `; did you mean "${meant}"?` : ""));
    }),
  );
}

function levelOf(text: string): Level {
  const level = LEVELS.find((level) => level === text);
  if (level !== undefined) return level;
  const meant = suggest(text, LEVELS);
  throw new UsageError(
    `Cannot log at level "${text}": there are ${LEVELS.join(", ")}` + (meant ? `; did you mean "${meant}"?` : ""),
  );
}
