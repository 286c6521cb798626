/** Which rules a client goes by, whatever its centers do: scripted centers, virtual time. */
import { assertEquals } from "@std/assert";
import { RpcError } from "@erpc/erpc";
import { RuleFollower } from "../../src/cluster/rule_follower.ts";
import type { RuleSource } from "../../src/cluster/source.ts";
import type { Rule } from "../../src/routing/rule.ts";
import { RuleBook, type RuleCursor, type RuleEvent } from "../../src/routing/rule_book.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { ruleOf } from "../routing/rules.ts";

/** A center that says what it is told to. */
class Script implements RuleSource {
  /** From where each watch wanted to go on. */
  readonly asked: (RuleCursor | undefined)[] = [];
  #say: ((event: RuleEvent | Error) => void) | undefined;

  async *watchRules({ after, signal }: { after?: RuleCursor; signal?: AbortSignal }): AsyncGenerator<RuleEvent, void> {
    this.asked.push(after);
    const left = new Error("left");
    signal?.addEventListener("abort", () => this.#say?.(left));
    for (;;) {
      const said = await new Promise<RuleEvent | Error>((resolve) => this.#say = resolve);
      if (said === left) return;
      if (said instanceof Error) throw said;
      yield said;
    }
  }

  tell(event: RuleEvent | Error): void {
    this.#say!(event);
  }
}

function scene(count: number, zone = "") {
  const platform = virtualPlatform(1);
  const scripts = Array.from({ length: count }, () => new Script());
  const changes: string[] = [];
  const logged: string[] = [];
  const log = (text: string) => void logged.push(text);
  const follower = new RuleFollower(scripts, {
    platform,
    logger: { debug: (text) => log(`debug: ${text}`), info: log, warn: log, error: log },
    zone,
    rulesChanged: (services) => void changes.push(services === "all" ? "all" : [...services].join()),
  });
  follower.start();
  return {
    platform,
    scripts,
    logged,
    follower,
    /** The names of a service's rules, and whom the follower told of changes since the last time. */
    state(service = "s.T"): [string, string] {
      const rules = follower.of(service);
      const names = rules === undefined
        ? "unknown"
        : rules === "none"
        ? "none"
        : rules.map(({ rule }) => rule.name).join();
      return [names, changes.splice(0).join(" ")];
    },
    async tell(at: number, event: RuleEvent | Error) {
      scripts[at].tell(event);
      await platform.clock.settle();
    },
    async lose(at: number) {
      await this.tell(at, new RpcError("unavailable", "lost"));
    },
    async [Symbol.asyncDispose]() {
      await follower.close();
      assertEquals(platform.clock.timerCount, 0);
    },
  };
}

function event(epoch: string, version: number, ...rules: Rule[]): RuleEvent {
  const services = Map.groupBy(rules, ({ service }) => service);
  return { epoch, version, complete: true, services: [...services].map(([service, rules]) => ({ service, rules })) };
}

const a = ruleOf({ name: "a" });
const b = ruleOf({ name: "b" });
const u = ruleOf({ name: "u", service: "s.U" });

Deno.test("rules are unknown until the center has spoken, and then told of by service", async () => {
  await using world = scene(1);
  assertEquals(world.state(), ["unknown", ""]);
  await world.tell(0, event("e", 2, a, u));
  assertEquals(world.state(), ["a", "all"]);
  assertEquals([world.follower.version, world.follower.size, world.follower.watching], [2, 2, true]);
  await world.tell(0, { epoch: "e", version: 3, complete: false, services: [{ service: "s.T", rules: [b, a] }] });
  assertEquals(world.state(), ["b,a", "s.T"]);
  await world.tell(0, { epoch: "e", version: 4, complete: false, services: [{ service: "s.T", rules: [] }] });
  assertEquals([world.state(), world.state("s.U")[0]], [["none", "s.T"], "u"]);
  // Everything anew: what is missing has gone.
  await world.tell(0, event("e", 9, b));
  assertEquals([world.state(), world.state("s.U")[0]], [["b", "s.T,s.U"], "none"]);
});

Deno.test("a center that can't be reached, or knows no rules, is known not to have any", async () => {
  await using world = scene(1);
  await world.tell(0, new RpcError("unimplemented", "no such service"));
  assertEquals(world.state(), ["none", "all"]);
  assertEquals(world.logged, ["debug: Cannot follow the routing rules"]);
  assertEquals([world.follower.version, world.follower.staleMs, world.follower.watching], [0, Infinity, false]);
});

Deno.test("X6 rules stay while their center is away; the next watch goes on where the last one ended", async () => {
  await using world = scene(1);
  await world.tell(0, event("e", 2, a));
  await world.lose(0);
  await world.platform.clock.advance(60_000);
  assertEquals([world.state()[0], world.follower.watching, world.follower.staleMs], ["a", false, 60_000]);
  assertEquals(world.scripts[0].asked, [undefined, { epoch: "e", version: 2 }]);
  await world.tell(0, { epoch: "e", version: 2, complete: false, services: [] });
  assertEquals([world.state(), world.follower.staleMs], [["a", ""], 0]);
  assertEquals(world.logged, ["Cannot follow the routing rules"]);
});

Deno.test("X7 a center that has forgotten its rules does not take them away; those that are set in it then replace them", async () => {
  await using world = scene(1);
  await world.tell(0, event("e", 2, a, u));
  await world.lose(0);
  await world.platform.clock.advance(60_000);
  await world.tell(0, event("new", 0));
  assertEquals([world.state()[0], world.follower.version], ["a", 2]);
  await world.tell(0, { epoch: "new", version: 1, complete: false, services: [{ service: "s.T", rules: [b] }] });
  assertEquals([world.state()[0], world.state("s.U")[0], world.follower.version], ["b", "none", 1]);
});

Deno.test("of several centers the first counts that can be heard and ever had a rule", async () => {
  await using world = scene(3);
  await world.tell(1, event("one", 4, b));
  assertEquals(world.state(), ["b", "all"]);
  // One that never had a rule says nothing about rules.
  await world.tell(0, event("zero", 0));
  assertEquals(world.state(), ["b", ""]);
  await world.tell(2, event("two", 7, a));
  assertEquals(world.state(), ["b", ""]);
  await world.tell(0, { ...event("zero", 1, a), complete: false });
  assertEquals([world.state(), world.follower.version], [["a", "all"], 1]);
  await world.lose(0);
  assertEquals(world.state(), ["b", "all"]);
  await world.lose(1);
  assertEquals([world.state(), world.follower.version], [["a", "all"], 7]);
  // The last one stays, too.
  await world.lose(2);
  assertEquals([world.state()[0], world.follower.watching], ["a", false]);
});

Deno.test("while one center is silent, the word of another is enough", async () => {
  await using world = scene(2);
  await world.lose(0);
  assertEquals(world.state(), ["unknown", ""]);
  await world.tell(1, event("one", 0));
  assertEquals(world.state(), ["none", "all"]);
});

Deno.test("a rule that can't be used is left out with a warning, and one for another zone without", async () => {
  await using world = scene(1, "eu-1");
  const elsewhere = ruleOf({ name: "elsewhere", when: { zone: "us-1" } });
  await world.tell(0, event("e", 1, a, { ...b, later: 1 } as Rule, elsewhere));
  assertEquals(world.state()[0], "a");
  assertEquals(world.logged.length, 1);
  assertEquals(
    world.logged[0].startsWith('Left out a routing rule of "s.T": Cannot use rule "b": rule has no "later"'),
    true,
  );
});

Deno.test("what a book says is followed as it changes", async () => {
  const book = new RuleBook("e");
  const platform = virtualPlatform(1);
  const follower = new RuleFollower([{ watchRules: (options) => book.watch(options) }], {
    platform,
    logger: console,
    zone: "",
    rulesChanged: () => {},
  });
  follower.start();
  await platform.clock.settle();
  assertEquals(follower.of("s.T"), "none");
  const changed = book.changed();
  book.set(a);
  await changed;
  await platform.clock.settle();
  assertEquals([follower.size, follower.version], [1, 1]);
  await follower.close();
});
