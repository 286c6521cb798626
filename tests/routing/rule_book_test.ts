import { assert, assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "@erpc/erpc";
import { RuleBook, type RuleEvent } from "../../src/routing/rule_book.ts";
import { ruleOf } from "./rules.ts";

const names = (event: RuleEvent) =>
  event.services.map(({ service, rules }) => `${service}: ${rules.map(({ name }) => name)}`);

Deno.test("RuleBook: the higher priority first, then by name; each change is a version", () => {
  const book = new RuleBook("e");
  assertEquals([book.version, book.rules(), book.rules("s.T")], [0, [], []]);
  assertEquals(book.set(ruleOf({ name: "b" })), 1);
  assertEquals(book.set(ruleOf({ name: "c", priority: 1 })), 2);
  assertEquals(book.set(ruleOf({ name: "a" })), 3);
  assertEquals(book.set(ruleOf({ name: "z", service: "a.First", priority: -1 })), 4);
  assertEquals(book.rules("s.T").map(({ name }) => name), ["c", "a", "b"]);
  assertEquals(book.rules().map(({ name }) => name), ["z", "c", "a", "b"]);
  assertEquals(book.set(ruleOf({ name: "b", priority: 9 })), 5);
  assertEquals(book.rules("s.T").map(({ name }) => name), ["b", "c", "a"]);
  assertEquals([book.remove("c"), book.remove("c"), book.version, book.size], [true, false, 6, 3]);
});

Deno.test("RuleBook: what is set already is no change", () => {
  const book = new RuleBook("e");
  book.set(ruleOf({ when: { zone: "a" } }));
  assertEquals(book.set(ruleOf({ when: { zone: "a" } })), 1);
  assertEquals(book.set(ruleOf({ when: { zone: "b" } })), 2);
});

Deno.test("RuleBook: what can't be used leaves it as it was", () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  assertThrows(() => book.set({ ...ruleOf(), to: [] }), TypeError, "its to");
  assertEquals([book.version, book.rules()], [1, [ruleOf()]]);
});

Deno.test("RuleBook: a rule that moves to another service leaves the first", () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  const place = book.after();
  book.set(ruleOf({ service: "s.U" }));
  assertEquals([book.rules("s.T"), book.rules("s.U").length, book.size], [[], 1, 1]);
  assertEquals(names(book.after(place)), ["s.T: ", "s.U: r"]);
});

Deno.test("RuleBook: there are bounds, and they leave what is there alone", () => {
  const book = new RuleBook("e");
  const full = (what: string, run: () => unknown) => {
    const error = assertThrows(run, RpcError, what);
    assertEquals([error.code, error.executed], ["resource_exhausted", "no"]);
  };
  for (let i = 0; i < 64; i++) book.set(ruleOf({ name: `r${i}` }));
  full('Cannot set rule "x": there are 64 rules for "s.T" already', () => book.set(ruleOf({ name: "x" })));
  for (let i = 64; i < 1000; i++) book.set(ruleOf({ name: `r${i}`, service: `s.S${i}` }));
  full("there are 1000 rules already", () => book.set(ruleOf({ name: "x", service: "s.X" })));
  book.set(ruleOf({ name: "r0", priority: 1 }));
  assertEquals([book.size, book.version], [1000, 1001]);

  const heavy = new RuleBook("e");
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, "x".repeat(256)]));
  const set = (i: number) => heavy.set(ruleOf({ name: `r${i}`, service: `s.S${i}`, to: [{ metadata }] }));
  const error = assertThrows(
    () => {
      for (let i = 0;; i++) set(i);
    },
    RpcError,
    "characters of JSON in rules",
  );
  assertEquals(error.code, "resource_exhausted");
  const { size } = heavy;
  assert(JSON.stringify(heavy).length < 1.1 * 2 ** 20 && size > 200, `${size}`);
  heavy.remove("r0");
  set(size);
  assertEquals(heavy.size, size);
});

Deno.test("RuleBook.after: what has changed since, and everything where that can't be told", () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  const place = book.after();
  assertEquals([place.complete, place.version, names(place)], [true, 1, ["s.T: r"]]);
  assertEquals([book.after(place).complete, names(book.after(place))], [false, []]);
  book.set(ruleOf({ name: "u", service: "s.U" }));
  assertEquals([book.after(place).complete, names(book.after(place))], [false, ["s.U: u"]]);
  book.remove("r");
  assertEquals(names(book.after(place)), ["s.U: u", "s.T: "]);
  assertEquals(names(book.after()), ["s.U: u"]);
  for (const cursor of [{ epoch: "other", version: 1 }, { epoch: "e", version: 99 }, { epoch: "e", version: -1 }]) {
    assertEquals(book.after(cursor).complete, true);
  }
});

Deno.test("RuleBook.after: that a service has no rules any more is not remembered for ever", () => {
  const book = new RuleBook("e");
  book.set(ruleOf({ name: "stays" }));
  const early = book.after();
  for (let i = 0; i < 1001; i++) {
    book.set(ruleOf({ name: "passes", service: `s.S${i}` }));
    if (i === 0) assertEquals(book.after(early).complete, false);
  }
  const late = book.after();
  book.remove("passes");
  assertEquals([book.after(early).complete, names(book.after(early))], [true, ["s.T: stays"]]);
  assertEquals([book.after(late).complete, names(book.after(late))], [false, ["s.S1000: "]]);
});

Deno.test("RuleBook: saved and opened again, it goes on where it was", () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  const place = book.after();
  book.set(ruleOf({ name: "x", service: "s.U", priority: 2 }));
  book.remove("x");
  const opened = RuleBook.from(JSON.parse(JSON.stringify(book)));
  assertEquals([opened.epoch, opened.version, opened.rules()], [book.epoch, 3, book.rules()]);
  assertEquals(JSON.stringify(opened), JSON.stringify(book));
  // It can't tell any more what has changed since a place before, but it can from where it was saved.
  assertEquals([opened.after(place).complete, names(opened.after(place))], [true, ["s.T: r"]]);
  assertEquals(opened.after(book.after()).complete, false);
  assertEquals(opened.set(ruleOf({ priority: 3 })), 4);

  for (
    const saved of [null, {}, { epoch: "e" }, { epoch: "e", version: -1, rules: [] }, {
      epoch: "e",
      version: 1,
      rules: {},
    }]
  ) {
    assertThrows(() => RuleBook.from(saved), TypeError, "Cannot open");
  }
  assertThrows(() => RuleBook.from({ epoch: "e", version: 1, rules: [{ name: "x" }] }), TypeError, 'rule "x"');
});

Deno.test("RuleBook.watch: what was missed, then each change; a slow reader gets several at once", async () => {
  const book = new RuleBook("e");
  book.set(ruleOf());
  const stop = new AbortController();
  const watch = book.watch({ signal: stop.signal });
  const next = async () => (await watch.next()).value as RuleEvent;
  assertEquals([names(await next()), book.version], [["s.T: r"], 1]);
  const waiting = next();
  book.set(ruleOf({ name: "u", service: "s.U" }));
  const event = await waiting;
  assertEquals([names(event), event.version, event.complete], [["s.U: u"], 2, false]);
  book.remove("u");
  book.set(ruleOf({ name: "v", service: "s.U" }));
  book.set(ruleOf({ name: "q" }));
  assertEquals(names(await next()), ["s.U: v", "s.T: q,r"]);

  const resumed = book.watch({ after: book.after(), signal: stop.signal });
  assertEquals(((await resumed.next()).value as RuleEvent).services, []);
  const [a, b] = [watch.next(), resumed.next()];
  stop.abort();
  assertEquals([(await a).done, (await b).done], [true, true]);
  assertEquals((await book.watch({ signal: stop.signal }).next()).done, true);
});

Deno.test("RuleBook.watch: changes without end leave nothing behind", async () => {
  const book = new RuleBook("e");
  const stop = new AbortController();
  const { then } = Promise.prototype;
  const waiting = new Map<Promise<unknown>, number>();
  let told = 0;
  try {
    Promise.prototype.then = function (this: Promise<unknown>, ...args: unknown[]) {
      waiting.set(this, (waiting.get(this) ?? 0) + 1);
      return then.apply(this, args as never) as never;
    } as typeof then;
    const loop = (async () => {
      for await (const _ of book.watch({ signal: stop.signal })) told++;
    })();
    for (let change = 1; change <= 200; change++) {
      book.set(ruleOf({ name: "r", priority: change }));
      for (let turn = 0; turn < 20; turn++) await undefined;
    }
    stop.abort();
    await loop;
  } finally {
    Promise.prototype.then = then;
  }
  assertEquals(told, 201);
  // Each is waited on by one, or by two; one that all of them had waited on would have grown with every change.
  assert(Math.max(...waiting.values()) <= 3, `${Math.max(...waiting.values())} wait on one promise`);
});
