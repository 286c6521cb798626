import { procedureName } from "../core/service.ts";
import { CenterRules } from "../center/rules.ts";
import type { ServiceClient } from "../client/typed.ts";
import { byPriority, describeTarget } from "../routing/compiled_rule.ts";
import { explainRoute, type RouteFinding } from "../routing/explain_route.ts";
import { checkRule, type Rule } from "../routing/rule.ts";
import { describeMatch } from "../routing/text_match.ts";
import { type Args, checked, UsageError } from "./args.ts";
import { centerClient, centersOf, lookUp } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import { metadataOf, parseJson, readText } from "./input.ts";
import type { Io } from "./io.ts";
import { suggest } from "../core/suggest.ts";
import { table } from "./table.ts";
import { printable, styled } from "./text.ts";

const TIMEOUT_MS = 5_000;
/** How many instances are named where they are counted, too. */
const MAX_NAMED = 5;

/** Sets, lists and removes routing rules, and says what they would do. */
export const route: Command = {
  name: "route",
  summary: "Set, list, remove and try routing rules",
  operands: [
    { name: "<set|list|rm|try>", about: "what to do" },
    {
      name: "<what>",
      about: "a rule; for list a service, for try a procedure",
      optional: true,
    },
  ],
  flags: [
    CENTER,
    TOKEN,
    { name: "json", about: "list: print each rule as JSON, as set takes it" },
    { name: "metadata", short: "m", value: "k=v", repeats: true, about: "try: what the call would carry; repeatable" },
    { name: "key", value: "hashkey", about: "try: the call's hash key" },
    { name: "zone", value: "zone", about: "try: where the client would stand" },
    { name: "with", value: "rule", about: "try: as if this rule were set; given as set takes it" },
  ],
  notes: [
    "set takes a rule, or a list of them, as JSON: as an argument, in a file, or - from",
    "stdin. rm takes a rule's name.",
    "",
    "The first rule that a call meets decides where it goes, high priority before low.",
    "set and rm change every center that is given; list and try ask one of them.",
    "",
    '  erpc route set \'{"name":"canary","service":"demo.Words","otherwise":"all",',
    '    "to":[{"percent":10,"version":"2"},{"percent":90,"version":"1"}]}\'',
    '  erpc route set \'{"name":"acme","service":"demo.Words","otherwise":"fail",',
    '    "when":{"metadata":{"tenant":"acme"}},"to":[{"metadata":{"pool":"acme"}}]}\'',
    "  erpc route try demo.Words/count -m tenant=acme --key user-1",
    "  erpc route rm canary",
  ],
  async run(args, io) {
    const [action, what] = args.operands;
    const run = ACTIONS.get(action);
    if (run !== undefined) return await run(args, what, io);
    const meant = suggest(action, ACTIONS.keys());
    throw new UsageError(
      `Cannot ${action} routing rules: there are ${[...ACTIONS.keys()].join(", ")}` +
        (meant ? `; did you mean "${meant}"?` : ""),
    );
  },
};

type Action = (args: Args, what: string | undefined, io: Io) => Promise<number>;

const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ["set", set],
  ["list", list],
  ["rm", remove],
  ["try", tryOut],
]);

async function set(args: Args, what: string | undefined, io: Io): Promise<number> {
  const rules = await readRules(required(what, "<json>, a file or -"), io);
  return await atEach(args, io, async (center, where) => {
    for (const rule of rules) {
      const { version } = await center.set({ rule }, { timeoutMs: TIMEOUT_MS, signal: io.signal });
      await io.stdout(`Rule "${rule.name}" is set${where}, version ${version}\n`);
    }
    return true;
  });
}

async function remove(args: Args, what: string | undefined, io: Io): Promise<number> {
  const name = required(what, "the rule's name");
  return await atEach(args, io, async (center, where) => {
    const { version, removed } = await center.remove({ name }, { timeoutMs: TIMEOUT_MS, signal: io.signal });
    const line = removed
      ? `Rule "${name}" is removed${where}, version ${version}\n`
      : `There is no rule "${name}"${where}\n`;
    await (removed ? io.stdout : io.stderr)(printable(line.trimEnd()) + "\n");
    return removed;
  });
}

async function list(args: Args, service: string | undefined, io: Io): Promise<number> {
  const centers = centersOf(args);
  await using client = centerClient(args);
  const answer = await client.service(CenterRules).list({ service }, { timeoutMs: TIMEOUT_MS, signal: io.signal });
  const rules = answer.services.flatMap(({ rules }) => rules).map(checkRule);
  rules.sort((a, b) => a.service === b.service ? byPriority(a, b) : a.service < b.service ? -1 : 1);
  if (args.has("json")) {
    for (const rule of rules) await io.stdout(printable(JSON.stringify(rule)) + "\n");
  } else if (rules.length > 0) await printTable([RULES, ...rules.map(rowOf)], [2], io);
  if (rules.length === 0) await io.stderr(`No routing rule is set at ${centers.join(", ")}\n`);
  return 0;
}

async function tryOut(args: Args, what: string | undefined, io: Io): Promise<number> {
  const procedure = checked(() => procedureName(required(what, "<procedure>")));
  const service = procedure.slice(0, procedure.indexOf("/"));
  const metadata = metadataOf(args);
  const proposed = await readProposed(args, service, io);
  await using client = centerClient(args);
  const options = { timeoutMs: TIMEOUT_MS, signal: io.signal };
  const [{ instances }, { services }] = await Promise.all([
    lookUp(client, service, options),
    client.service(CenterRules).list({ service }, options),
  ]);
  const names = new Set(proposed.map(({ name }) => name));
  const set = services.flatMap(({ rules }) => rules).map(checkRule).filter(({ name }) => !names.has(name));
  const rules = [...set, ...proposed].sort(byPriority);
  const question = { procedure, metadata, hashKey: args.get("key"), zone: args.get("zone") };
  await printFinding(explainRoute(rules, question, instances), instances.length, io);
  return 0;
}

const RULES = ["RULE", "SERVICE", "PRIORITY", "METHODS", "WHEN", "TO", "OTHERWISE"];

function rowOf(rule: Rule): string[] {
  const { name, service, priority = 0, methods, when, to, otherwise } = rule;
  const conditions = Object.entries(when?.metadata ?? {}).map(([key, match]) => `${key} ${describeMatch(match)}`);
  if (when?.zone !== undefined) conditions.unshift(`zone ${describeMatch(when.zone)}`);
  const targets = to.map((target) => `${target.percent ?? 100}% ${describeTarget(target)}`);
  return [
    name,
    service,
    String(priority),
    methods?.join(",") ?? "all",
    conditions.join(", ") || "always",
    targets.join("; "),
    otherwise,
  ].map(printable);
}

async function printFinding({ rules, decides, targets }: RouteFinding, known: number, io: Io): Promise<void> {
  if (rules.length > 0) {
    const rows = rules.map(({ rule, matches, why }) => [rule.name, matches ? "yes" : "no", why].map(printable));
    await printTable([["RULE", "MATCHES", "WHY NOT"], ...rows], [], io);
    await io.stdout("\n");
  }
  const rows = targets.map(({ target, percent, instances, outcome }) => {
    const more = instances.length > MAX_NAMED ? `,… ${instances.length - MAX_NAMED} more` : "";
    const ids = instances.slice(0, MAX_NAMED).join(",") + more;
    return [`${percent}%`, target, `${instances.length} of ${known}`, ids || "-", outcome].map(printable);
  });
  await printTable([["SHARE", "TARGET", "LEFT", "INSTANCES", "CALLS ARE"], ...rows], [0], io);
  if (decides === undefined) await io.stderr("No rule decides: the call goes wherever balancing sends it\n");
}

async function printTable(rows: readonly string[][], rightAligned: readonly number[], io: Io): Promise<void> {
  const [header, ...lines] = table(rows, rightAligned);
  await io.stdout([styled("bold", header, io), ...lines, ""].join("\n"));
}

/** Does something at every center that was given: each keeps its own rules. One that fails is told of, and the rest go on. */
async function atEach(
  args: Args,
  io: Io,
  act: (center: ServiceClient<typeof CenterRules>, where: string) => Promise<boolean>,
): Promise<number> {
  const centers = centersOf(args);
  let failure: unknown;
  let done = true;
  for (const center of centers) {
    await using client = centerClient(args, [center]);
    try {
      done = await act(client.service(CenterRules), centers.length > 1 ? ` at ${center}` : "") && done;
    } catch (error) {
      if (io.signal.aborted || centers.length === 1) throw error;
      failure ??= error;
      const text = error instanceof Error ? error.message : String(error);
      await io.stderr(`${center}: ${printable(text)}\n`);
    }
  }
  return failure === undefined && done ? 0 : 1;
}

/** The rules that the user gave: one, or a list. Checked here, so that either all of them can be set or none is tried. */
async function readRules(given: string, io: Io): Promise<Rule[]> {
  const parsed = await parseJson(...source(given, io));
  const rules = Array.isArray(parsed) ? parsed : [parsed];
  return rules.map((rule) => checked(() => checkRule(rule)));
}

async function readProposed(args: Args, service: string, io: Io): Promise<Rule[]> {
  const given = args.get("with");
  if (given === undefined) return [];
  const rules = await readRules(given, io);
  const other = rules.find((rule) => rule.service !== service);
  if (other !== undefined) throw new UsageError(`Rule "${other.name}" is about "${other.service}", not "${service}"`);
  return rules;
}

/** JSON as it stands, standard input, or a file: no file that anybody would name begins like JSON. */
function source(given: string, io: Io): [text: string | Promise<string>, what: string] {
  if (given === "-") return [readText(io), "the rule from stdin"];
  if (/^\s*[[{]/.test(given)) return [given, "the rule"];
  return [readFile(given), `the rule in ${given}`];
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read the file "${path}": ${(error as Error).message}`);
  }
}

function required(what: string | undefined, name: string): string {
  if (what === undefined) throw new UsageError(`Missing ${name}`);
  return what;
}
