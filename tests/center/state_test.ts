/** What a center keeps in its data beyond its own life. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Center, type CenterOptions, RpcError } from "@erpc/erpc";
import type { TextStore } from "../../src/core/store.ts";
import type { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";

const RULE = { name: "r", service: "demo.Words", to: [{ version: "2" }], otherwise: "all" } as const;

/** A store in memory that keeps every text that was ever saved. */
class Shelf implements TextStore {
  readonly texts = new Map<string, string>();
  readonly saved: string[] = [];
  fails = false;

  load(name: string): Promise<string | undefined> {
    return this.fails ? Promise.reject(new Error("no such disk")) : Promise.resolve(this.texts.get(name));
  }

  save(name: string, text: string): Promise<void> {
    if (this.fails) return Promise.reject(new Error("no such disk"));
    this.texts.set(name, text);
    this.saved.push(text);
    return Promise.resolve();
  }
}

let centers = 0;

async function open(data: CenterOptions["data"]) {
  const platform = virtualPlatform(++centers);
  const lines: string[] = [];
  const line = (text: string) => lines.push(text);
  const logger = { debug: () => {}, info: () => {}, warn: line, error: line };
  const center = new Center({ platform, logger, data });
  await center.listen(`memory://state-${centers}`);
  return { center, lines, platform, memory: center.registry as MemoryRegistry };
}

Deno.test("Center, with data, starts again in the same epoch behind every revision that it told of, and with its rules", async () => {
  for (const data of [new Shelf(), `${Deno.makeTempDirSync()}/deep/data`]) {
    const first = await open(data);
    assertEquals(first.memory.cursor.revision, 0);
    for (let n = 0; n < 30; n++) await first.center.registry.register(instanceOf(`a${n}`));
    first.center.rules.set(RULE);
    const { epoch, revision } = first.memory.cursor;
    const { version } = first.center.rules;
    await first.center.close();

    const second = await open(data);
    assertEquals([second.memory.cursor.epoch, second.lines], [epoch, []]);
    assert(second.memory.cursor.revision > revision);
    assertEquals(second.center.rules.rules("demo.Words").map(({ name }) => name), ["r"]);
    assertEquals(second.center.rules.version, version);
    // Who resumes is told that everything begins anew, and that who is missing may only not have returned yet.
    const watch = second.memory.watch("demo.Words", { after: { epoch, revision } })[Symbol.asyncIterator]();
    const { value } = await watch.next();
    assertEquals([value.kind, value.instances, value.warming], ["snapshot", [], true]);
    await watch.return?.();
    await second.center.close();
  }
});

Deno.test("Center, with data, ends without a word at any moment, no revision ever means two things and no rule that was answered is lost", async () => {
  const shelf = new Shelf();
  let told = -1;
  let version = 0;
  for (let life = 0; life < 5; life++) {
    const { center, memory } = await open(shelf);
    assert(memory.cursor.revision > told, `it begins at ${memory.cursor.revision}, and has told of ${told}`);
    for (let n = 0; n < 13_000; n++) {
      await memory.register(instanceOf(`a${n}`));
      // Saving takes a turn, in which it goes on.
      if (n % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    told = memory.cursor.revision;
    center.rules.set({ ...RULE, name: `r${life}` });
    await until(() => shelf.saved.at(-1)!.includes(`"r${life}"`));
    assert(center.rules.version > version, `${center.rules.version} after ${version}`);
    version = center.rules.version;
    assertEquals(center.rules.size, life + 1);
    // What it saves at its end comes too late.
    const kept = new Map(shelf.texts);
    await center.close();
    for (const [name, text] of kept) shelf.texts.set(name, text);
  }
  assert(shelf.saved.length < 60, `saved ${shelf.saved.length} times`);
});

Deno.test("Center, with data, a disk that fails for a while, is tried again before revisions pass what it holds", async () => {
  const shelf = new Shelf();
  const { center, memory, lines } = await open(shelf);
  const come = async (to: number) => {
    for (let n = memory.cursor.revision; n < to; n++) {
      await memory.register(instanceOf(`a${n}`));
      if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await come(7_000);
  shelf.fails = true;
  await come(9_000);
  shelf.fails = false;
  await come(12_000);
  const told = memory.cursor.revision;
  const kept = new Map(shelf.texts);
  assert(lines.length > 5 && lines.length < 30, `${lines.length} lines`);
  await center.close();
  // It ended without a word: what it saved at its end is not there.
  for (const [name, text] of kept) shelf.texts.set(name, text);
  const second = await open(shelf);
  assert(
    second.memory.cursor.revision > told,
    `it begins at ${second.memory.cursor.revision}, and has told of ${told}`,
  );
  await second.center.close();
});

Deno.test("Center, with data, a text that is torn, set aside with a warning, and it starts anew", async () => {
  const shelf = new Shelf();
  const first = await open(shelf);
  first.center.rules.set(RULE);
  const { epoch } = first.memory.cursor;
  await first.center.close();
  const whole = shelf.texts.get("center.json")!;
  const torn = [
    "",
    whole.slice(0, -1),
    whole.slice(0, whole.length / 2),
    whole.replace("demo.Words", "demo.Wards"),
    whole + whole,
    whole.slice(1),
    "\0".repeat(100),
    whole.replace("erpc-center-1", "erpc-center-9"),
  ];
  for (const text of torn) {
    shelf.texts.clear();
    shelf.texts.set("center.json", text);
    const { center, lines, memory } = await open(shelf);
    assertEquals(lines.length, 1);
    assertMatch(lines[0], /Cannot use what the center kept in center\.json, which is in center\.json\.torn now: /);
    assertEquals(shelf.texts.get("center.json.torn"), text);
    assert(memory.cursor.epoch !== epoch);
    assertEquals([memory.cursor.revision, center.rules.size], [0, 0]);
    await center.close();
  }
  // Every prefix of it, and every byte of it another one.
  for (let at = 0; at < whole.length; at++) {
    const broken = at % 2 ? whole.slice(0, at) : whole.slice(0, at) + "~" + whole.slice(at + 1);
    shelf.texts.set("center.json", broken);
    const { center, lines } = await open(shelf);
    assertEquals(lines.length, 1, `byte ${at}`);
    await center.close();
  }
});

Deno.test("Center, with data that can't be used, does not listen, and may be told to again", async () => {
  const shelf = new Shelf();
  shelf.fails = true;
  const platform = virtualPlatform(1);
  const center = new Center({ platform, data: shelf });
  assertThrows(() => center.rules, TypeError, "it has not read them yet");
  const error = await assertRejects(() => center.listen("memory://state-broken"), RpcError, "no such disk");
  assertEquals(error.code, "unavailable");
  shelf.fails = false;
  await center.listen("memory://state-broken");
  shelf.fails = true;
  // From here on it is a matter for the log: the center works.
  center.rules.set(RULE);
  await center.registry.register(instanceOf("a"));
  await center.close();
  assertEquals(platform.clock.timerCount, 0);
});

Deno.test("Center, a rule that is set over the wire, is kept when that is answered", async () => {
  const { Client } = await import("@erpc/erpc");
  const { CenterRules } = await import("../../src/center/rules.ts");
  const shelf = new Shelf();
  const { center, platform } = await open(shelf);
  await using client = new Client({ endpoints: [center.endpoint], platform });
  const rules = client.service(CenterRules);
  for (let n = 0; n < 10; n++) {
    await rules.set({ rule: { ...RULE, name: `r${n}` } });
    assertMatch(shelf.texts.get("center.json")!, new RegExp(`"r${n}"`));
  }
  await rules.remove({ name: "r3" });
  assert(!shelf.texts.get("center.json")!.includes('"r3"'));
  await center.close();
});
