import { RpcError } from "../core/error.ts";
import type { Instance } from "../registry/instance.ts";
import type { Cursor, Lease, Registry } from "../registry/registry.ts";
import { check, checkSame, type ContractCase, within as withinMs } from "./contract.ts";
import { follow as followFrom, type Place } from "./follower.ts";

/** A registry under test. What an environment needs beside it goes into members of its own. */
export interface RegistrySubject {
  /** A registry with nothing in it, of which nobody else makes use. */
  readonly registry: Registry;
  /** Takes down what was put up around the registry, which has been closed by then. */
  close?(): Promise<void>;
}

/** What differs among environments. Cases that need a hook that is missing are left out. */
export interface RegistryHooks<Subject extends RegistrySubject> {
  /** Resolves when a lease that nobody renews has run out. */
  expire?(subject: Subject, lease: Lease): Promise<void>;
  /** How many loops over a watch the registry serves. */
  watcherCount?(subject: Subject): number | Promise<number>;
  /** Whether it heeds the owner that `register` is given. Default `false`. */
  readonly knowsOwners?: boolean;
  /** How long to wait for what never comes, in milliseconds of real time. Default 10 000. */
  readonly patienceMs?: number;
}

const WORDS = "demo.Words";
const NUMBERS = "demo.Numbers";

/**
 * What every registry must do, as named cases.
 *
 * ```ts ignore
 * import { registryContract } from "@erpc/erpc/testing";
 *
 * for (const { name, run } of registryContract("mine", () => open())) Deno.test(name, run);
 * ```
 *
 * A case opens a registry, throws an `Error` that says what it saw, and closes the registry. Cases may run in any order, and
 * twice.
 */
export function registryContract<Subject extends RegistrySubject>(
  name: string,
  open: () => Promise<Subject>,
  hooks: RegistryHooks<Subject> = {},
): ContractCase[] {
  const { patienceMs = 10_000 } = hooks;
  const within = <T>(promise: Promise<T>, what: string) => withinMs(promise, what, patienceMs);
  const follow = (registry: Registry, service: string, before?: Place) =>
    followFrom(registry, service, before, patienceMs);
  const cases: ContractCase[] = [];
  const add = (what: string, body: (registry: Registry, subject: Subject) => Promise<void>) => {
    const run = async () => {
      const subject = await open();
      try {
        await body(subject.registry, subject);
      } finally {
        await subject.registry.close();
        await subject.close?.();
      }
    };
    cases.push({ name: `registry ${name}, ${what}`, run });
  };

  add("lists what is registered, as it is", async (registry) => {
    const instance: Instance = {
      id: "a",
      incarnation: 1_700_000_000_123,
      endpoints: ["tcp://10.0.0.7:4000", "unix:///run/a.sock"],
      services: [WORDS, NUMBERS],
      zone: "north",
      weight: 2.5,
      version: "1.2.3",
      metadata: { color: "rot", text: "漢字 🍺 \n" },
    };
    const lease = await registry.register(instance, { ttlMs: 20_000 });
    checkSame([lease.instanceId, lease.incarnation, lease.ttlMs], ["a", instance.incarnation, 20_000], "The lease");
    for (const service of [WORDS, NUMBERS, "*"]) {
      const { instances, warming } = await registry.lookup(service);
      checkSame(instances, [instance], `What is listed under "${service}"`);
      check(!warming, "A registry that has not just started is warming");
    }
  });

  add("answers for a service that nobody offers", async (registry) => {
    await registry.register(instanceOf("a"));
    const { instances, epoch, revision } = await registry.lookup("demo.Nobody");
    checkSame(instances, [], "What is listed");
    check(epoch !== "" && Number.isSafeInteger(revision), `Epoch "${epoch}", revision ${revision} is no place`);
  });

  add("lists under each service who offers it, in the order of their ids", async (registry) => {
    for (const id of ["c", "a", "b"]) await registry.register(instanceOf(id));
    await registry.register(instanceOf("d", { services: [NUMBERS] }));
    checkSame(await idsUnder(registry, WORDS), ["a", "b", "c"], "Who offers words");
    checkSame(await idsUnder(registry, NUMBERS), ["d"], "Who offers numbers");
    checkSame(await idsUnder(registry, "*"), ["a", "b", "c", "d"], "Who is there");
  });

  add("keeps what was registered when its owner changes the object", async (registry) => {
    const services = [WORDS];
    const metadata: Record<string, string> = { color: "red" };
    await registry.register({ ...instanceOf("a"), services, metadata });
    services.push(NUMBERS);
    metadata.color = "blue";
    checkSame(
      (await registry.lookup(WORDS)).instances,
      [instanceOf("a", { metadata: { color: "red" } })],
      "The listing",
    );
  });

  add("refuses a malformed instance and lists nothing of it", async (registry) => {
    const malformed: Partial<Instance>[] = [
      { id: "" },
      { incarnation: -1 },
      { endpoints: [] },
      { endpoints: ["10.0.0.7:4000"] },
      { endpoints: ["tcp://0.0.0.0:4000"] },
      { services: ["not a name"] },
      { weight: NaN },
    ];
    for (const wrong of malformed) {
      const outcome = await outcomeOf(registry.register(instanceOf("a", wrong)));
      check(
        outcome instanceof TypeError,
        `Registering ${JSON.stringify(wrong)} ended with ${outcome}, not a TypeError`,
      );
    }
    checkSame(await idsUnder(registry, "*"), [], "What is listed");
  });

  add("refuses names that no service can have", async (registry) => {
    const outcome = await outcomeOf(registry.lookup("not a name"));
    check(outcome instanceof TypeError, `Looking up "not a name" ended with ${outcome}, not a TypeError`);
  });

  add("gives up when the signal has aborted, and lists nothing", async (registry) => {
    const outcome = await outcomeOf(registry.register(instanceOf("a"), { signal: AbortSignal.abort() }));
    check(outcome instanceof Error, "Registering with an aborted signal succeeded");
    checkSame(await idsUnder(registry, "*"), [], "What is listed");
  });

  add("takes ids and names that objects have for themselves", async (registry) => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "then"];
    for (const odd of names) {
      checkSame(await idsUnder(registry, odd), [], `Who offers "${odd}" before anybody does`);
    }
    await using watch = follow(registry, "__proto__");
    const metadata = JSON.parse('{"__proto__":"a text","constructor":"another"}');
    const leases = [];
    for (const odd of names) leases.push(await registry.register(instanceOf(odd, { services: names, metadata })));
    await watch.until("five instances", () => watch.listed.size === 5);
    for (const odd of names) checkSame(await idsUnder(registry, odd), names.toSorted(), `Who offers "${odd}"`);
    checkSame(watch.listed.get("__proto__")?.metadata, metadata, "The metadata");
    for (const lease of leases) {
      check(await registry.renew(lease) === "renewed", `"${lease.instanceId}" was not renewed`);
    }
    for (const lease of leases) await registry.deregister(lease);
    await watch.until("no instances", () => watch.listed.size === 0);
  });

  add("renews a lease while it lasts, and knows it no more when it has ended", async (registry) => {
    const lease = await registry.register(instanceOf("a"));
    check(await registry.renew(lease) === "renewed", "The lease was not renewed");
    await registry.deregister(lease);
    check(await registry.renew(lease) === "unknown", "The ended lease is not unknown");
    const other = { ...lease, instanceId: "b" };
    check(await registry.renew(other) === "unknown", "The lease of an instance that never was is not unknown");
  });

  add("lets nobody renew or end a lease without its token", async (registry) => {
    const lease = await registry.register(instanceOf("a"));
    const stolen = { ...lease, token: lease.token.replaceAll(/[\da-z]/gi, "0") };
    const renewed = await outcomeOf(registry.renew(stolen));
    check(renewed === "unknown" || codeOf(renewed) === "permission_denied", `Renewing it ended with ${renewed}`);
    const ended = await outcomeOf(registry.deregister(stolen));
    check(ended === undefined || codeOf(ended) === "permission_denied", `Ending it ended with ${ended}`);
    checkSame(await idsUnder(registry, WORDS), ["a"], "What is listed");
    check(await registry.renew(lease) === "renewed", "The lease of its owner was not renewed");
    check(!JSON.stringify(await registry.lookup("*")).includes(lease.token), "The token can be looked up");
  });

  add("says why an instance is gone, once", async (registry) => {
    const leases = new Map<string, Lease>();
    for (const id of ["a", "b", "c"]) leases.set(id, await registry.register(instanceOf(id)));
    await using watch = follow(registry, WORDS);
    await watch.until("three instances", () => watch.listed.size === 3);
    await registry.deregister(leases.get("a")!);
    await registry.deregister(leases.get("b")!, "drained");
    await registry.deregister(leases.get("a")!, "admin");
    await registry.deregister(leases.get("c")!, "admin");
    await watch.until("no instances", () => watch.listed.size === 0);
    if (watch.snapshots === 1) {
      checkSame(watch.removals, [["a", "deregistered"], ["b", "drained"], ["c", "admin"]], "Who was removed, and why");
    }
    checkSame(await idsUnder(registry, "*"), [], "What is listed");
  });

  add("lets a newer incarnation take over, and fences the older one", async (registry) => {
    await using watch = follow(registry, WORDS);
    const older = await registry.register(instanceOf("a", { incarnation: 1, version: "one" }));
    const newer = await registry.register(instanceOf("a", { incarnation: 2, version: "two" }));
    check(await registry.renew(older) === "fenced", "The older lease is not fenced");
    await registry.deregister(older);
    check(await registry.renew(newer) === "renewed", "The newer lease was not renewed");
    const listed = [instanceOf("a", { incarnation: 2, version: "two" })];
    checkSame((await registry.lookup(WORDS)).instances, listed, "What is listed");
    await watch.until("the newer", () => watch.listed.get("a")?.incarnation === 2);
  });

  add(
    "leaves one lease of many that are asked for at once for one instance, of the newest incarnation",
    async (registry) => {
      const asked = [1, 3, 2, 3, 1, 3].map((incarnation) =>
        outcomeOf(registry.register(instanceOf("a", { incarnation })))
      );
      const outcomes = await Promise.all(asked);
      const leases = outcomes.filter((outcome) => !(outcome instanceof Error)) as Lease[];
      for (const outcome of outcomes) {
        check(!(outcome instanceof Error) || codeOf(outcome) === "unavailable", `Registering ended with ${outcome}`);
      }
      const renewals = await Promise.all(leases.map((lease) => registry.renew(lease)));
      const left = leases.filter((_, n) => renewals[n] === "renewed");
      checkSame(left.map(({ incarnation }) => incarnation), [3], `The incarnations that were renewed, of ${renewals}`);
      const { instances } = await registry.lookup(WORDS);
      checkSame(instances.map(({ incarnation }) => incarnation), [3], "The incarnations that are listed");
    },
  );

  add("does not let an older incarnation take over", async (registry) => {
    const newer = await registry.register(instanceOf("a", { incarnation: 2, version: "two" }));
    const outcome = await outcomeOf(registry.register(instanceOf("a", { incarnation: 1, version: "one" })));
    check(codeOf(outcome) === "unavailable", `Registering an older incarnation ended with ${outcome}`);
    check(await registry.renew(newer) === "renewed", "The newer lease was not renewed");
    checkSame((await registry.lookup(WORDS)).instances.map(({ version }) => version), ["two"], "What is listed");
  });

  add("ends the first lease when the same incarnation registers again", async (registry) => {
    const first = await registry.register(instanceOf("a"));
    const second = await registry.register(instanceOf("a"));
    check(await registry.renew(first) === "unknown", "The first lease is not unknown");
    await registry.deregister(first);
    check(await registry.renew(second) === "renewed", "The second lease was not renewed");
    checkSame(await idsUnder(registry, WORDS), ["a"], "What is listed");
  });

  add("tells a watch what is there, then each change, with rising revisions", async (registry) => {
    const a = await registry.register(instanceOf("a"));
    await using watch = follow(registry, WORDS);
    await watch.until("a", () => watch.listed.has("a"));
    const b = await registry.register(instanceOf("b"));
    await watch.until("b", () => watch.listed.has("b"));
    await registry.deregister(a);
    await watch.until("no a", () => !watch.listed.has("a"));
    await registry.register(instanceOf("b", { weight: 3 }));
    await watch.until("b of weight 3", () => watch.listed.get("b")?.weight === 3);
    check(await registry.renew(b) === "unknown", "The lease that was replaced is not unknown");
    const { instances, revision, epoch } = await registry.lookup(WORDS);
    checkSame([...watch.listed.values()], instances, "What the watch was told, beside what is listed");
    check(watch.cursor?.epoch === epoch && watch.cursor.revision <= revision, "The watch is ahead of the registry");
  });

  add("tells nothing when what is listed registers again", async (registry) => {
    await using watch = follow(registry, WORDS);
    await watch.begin();
    for (const metadata of [{ x: "1", y: "2" }, { y: "2", x: "1" }, { x: "1", y: "2" }]) {
      await registry.register(instanceOf("a", { metadata }));
    }
    await registry.register(instanceOf("b"));
    await watch.until("b", () => watch.listed.has("b"));
    if (watch.snapshots === 1) checkSame(watch.changes.length, 2, "The number of changes");
  });

  add("tells a watch of nothing that others offer, and when an instance gives up the service", async (registry) => {
    await using words = follow(registry, WORDS);
    await using all = follow(registry, "*");
    await registry.register(instanceOf("other", { services: [NUMBERS] }));
    await registry.register(instanceOf("a", { services: [NUMBERS, WORDS] }));
    await words.until("a", () => words.listed.has("a"));
    checkSame([...words.listed.keys()], ["a"], "What the watch was told");
    await registry.register(instanceOf("a", { services: [NUMBERS] }));
    await words.until("no a", () => words.listed.size === 0);
    await all.until("a without words", () => all.listed.get("a")?.services.length === 1);
    checkSame([...all.listed.keys()].sort(), ["a", "other"], "What the watch of everything was told");
  });

  add("continues behind a cursor with no gap and nothing twice", async (registry) => {
    const first = follow(registry, WORDS);
    const a = await registry.register(instanceOf("a"));
    await registry.register(instanceOf("b"));
    await first.until("a and b", () => first.listed.size === 2);
    await first.close();
    await registry.deregister(a, "drained");
    await registry.register(instanceOf("c"));
    await registry.register(instanceOf("elsewhere", { services: [NUMBERS] }));
    const c = await registry.register(instanceOf("c", { weight: 5 }));
    await using second = follow(registry, WORDS, first);
    await second.until("c of weight 5", () => second.listed.get("c")?.weight === 5);
    checkSame([...second.listed.keys()].sort(), ["b", "c"], "What is listed");
    if (second.snapshots === 0) {
      const told = second.changes.map((change) => change.kind === "put" ? change.instance.id : `-${change.instanceId}`);
      checkSame(told, ["-a", "c", "c"], "What was told behind the cursor");
    }
    await registry.deregister(c);
    await second.until("no c", () => !second.listed.has("c"));
  });

  add("begins afresh where it can't continue", async (registry) => {
    await registry.register(instanceOf("a"));
    const { epoch, revision } = await registry.lookup(WORDS);
    const cursors: Cursor[] = [
      { epoch: `${epoch}x`, revision },
      { epoch, revision: revision + 1_000_000 },
    ];
    for (const after of cursors) {
      await using watch = follow(registry, WORDS, { cursor: after, listed: new Map() });
      await watch.until("a", () => watch.listed.has("a"));
      check(watch.snapshots === 1, `The watch behind ${JSON.stringify(after)} did not begin with a snapshot`);
    }
  });

  add("tells two watches the same, also one that reads late", async (registry) => {
    await using prompt = follow(registry, WORDS);
    await using late = follow(registry, WORDS);
    await prompt.begin();
    await late.begin();
    for (let n = 0; n < 100; n++) {
      // No id often: a registry may tell many changes of one as one.
      const id = `n${n % 50}`;
      const lease = await registry.register(instanceOf(id, { weight: n + 1 }));
      if (n % 3 === 0) await registry.deregister(lease);
      else if (n % 10 === 0) await prompt.until(`weight ${n + 1}`, () => prompt.listed.get(id)?.weight === n + 1);
    }
    await registry.register(instanceOf("last"));
    await prompt.until("the last", () => prompt.listed.has("last"));
    await late.until("the last", () => late.listed.has("last"));
    const { instances } = await registry.lookup(WORDS);
    for (const watch of [prompt, late]) {
      const listed = [...watch.listed.values()].sort((a, b) => a.id < b.id ? -1 : 1);
      checkSame(listed, instances, "What the watch was told");
    }
    if (prompt.snapshots === 1 && late.snapshots === 1) {
      checkSame(late.changes, prompt.changes, "What the late one was told");
    }
  });

  add("lists many that register at once, and tells of each once", async (registry) => {
    await using watch = follow(registry, WORDS);
    const ids = Array.from({ length: 200 }, (_, n) => `n${String(n).padStart(3, "0")}`);
    const leases = await Promise.all(ids.map((id) => registry.register(instanceOf(id))));
    check(new Set(leases.map((lease) => lease.token)).size === ids.length, "Two leases have the same token");
    await watch.until("all", () => watch.listed.size === ids.length);
    checkSame(await idsUnder(registry, WORDS), ids, "What is listed");
    await Promise.all(leases.map((lease) => registry.deregister(lease)));
    await watch.until("none", () => watch.listed.size === 0);
  });

  add("ends a watch when its reader breaks out, returns or aborts", async (registry, subject) => {
    await registry.register(instanceOf("a"));
    for await (const event of registry.watch(WORDS)) {
      check(event.kind === "snapshot", "A watch does not begin with a snapshot");
      break;
    }

    const returned = registry.watch(WORDS)[Symbol.asyncIterator]();
    await within(returned.next(), "the snapshot");
    const waiting = returned.next();
    await within(Promise.resolve(returned.return?.()), "return");
    check((await within(waiting, "the end of a watch that returned")).done === true, "A watch that returned went on");
    check((await within(returned.next(), "the end again")).done === true, "A watch that returned began again");

    const aborting = new AbortController();
    const aborted = registry.watch(WORDS, { signal: aborting.signal })[Symbol.asyncIterator]();
    await within(aborted.next(), "the snapshot");
    const last = aborted.next();
    aborting.abort();
    check((await within(last, "the end of a watch that was aborted")).done === true, "An aborted watch went on");

    for await (const _event of registry.watch(WORDS, { signal: AbortSignal.abort() })) {
      check(false, "A watch whose signal had aborted began");
    }
    if (hooks.watcherCount) checkSame(await hooks.watcherCount(subject), 0, "The number of watches that are left");
  });

  add("says when every watch has acknowledged that a lease ended, where it can say so", async (registry) => {
    if (registry.settled === undefined) return;
    const settle = (lease: Lease, signal?: AbortSignal) => outcomeOf(registry.settled!(lease, { signal }));
    const [a, b] = [await registry.register(instanceOf("a")), await registry.register(instanceOf("b"))];
    const early = await within(settle(a), "the answer about a lease that lasts");
    check(early instanceof Error, `Asking about a lease that lasts ended with ${early}, not an error`);
    const words = registry.watch(WORDS)[Symbol.asyncIterator]();
    const numbers = registry.watch(NUMBERS)[Symbol.asyncIterator]();
    const all = registry.watch("*")[Symbol.asyncIterator]();
    for (const watch of [words, numbers, all]) await within(watch.next(), "the snapshot");
    const idle = numbers.next();
    let nextWord = words.next();
    const toldAll = all.next();
    await registry.deregister(a, "drained");
    await within(toldAll, "the removal");
    let proven = false;
    const proof = settle(a).then((outcome) => {
      proven = true;
      return outcome;
    });
    await within(nextWord, "the removal");
    nextWord = words.next(); // one of the two has acted on it
    await registry.lookup(WORDS);
    check(!proven, "It was proven before everybody had acknowledged it");
    const waiting = all.next();
    checkSame(await within(proof, "the proof"), undefined, "What the proof ended with");
    checkSame(await within(settle(a), "the same again"), undefined, "What the same proof ended with");

    await registry.deregister(b, "drained");
    await Promise.all([within(nextWord, "the removal"), within(waiting, "the removal")]);
    const gone = settle(b);
    for (const watch of [words, all]) await within(Promise.resolve(watch.return?.()), "return");
    checkSame(await within(gone, "the proof that all have left"), undefined, "What the proof ended with");

    const c = await registry.register(instanceOf("c"));
    const stuck = registry.watch(WORDS)[Symbol.asyncIterator]();
    await within(stuck.next(), "the snapshot");
    await registry.deregister(c);
    const giveUp = new AbortController();
    const never = settle(c, giveUp.signal);
    giveUp.abort();
    const end = await within(never, "the end of a wait that was aborted");
    check(end instanceof Error, `An aborted wait ended with ${end}, not an error`);
    for (const watch of [stuck, numbers]) await within(Promise.resolve(watch.return?.()), "return");
    await within(idle, "the end of the watch");
  });

  add("ends everything when it is closed", async (registry, subject) => {
    const lease = await registry.register(instanceOf("a"));
    const watch = registry.watch(WORDS)[Symbol.asyncIterator]();
    await within(watch.next(), "the snapshot");
    const waiting = outcomeOf(watch.next());
    await registry.close();
    const end = await within(waiting, "the end of the watch");
    check(end instanceof RpcError || (end as IteratorResult<unknown>).done === true, `The watch ended with ${end}`);
    const calls: Record<string, () => Promise<unknown>> = {
      register: () => registry.register(instanceOf("b")),
      renew: () => registry.renew(lease),
      lookup: () => registry.lookup(WORDS),
      watch: () => registry.watch(WORDS)[Symbol.asyncIterator]().next(),
    };
    for (const [call, run] of Object.entries(calls)) {
      const outcome = await within(outcomeOf(run()), call);
      check(codeOf(outcome) === "unavailable", `After close, ${call} ended with ${outcome}, not unavailable`);
    }
    if (hooks.watcherCount) checkSame(await hooks.watcherCount(subject), 0, "The number of watches that are left");
    await registry.close();
  });

  if (hooks.knowsOwners) {
    add("lets nobody replace what is listed for somebody else", async (registry) => {
      const lease = await registry.register(instanceOf("a"), { owner: "ann" });
      const newer = instanceOf("a", { incarnation: 2 });
      for (const owner of ["ben", ""]) {
        const outcome = await outcomeOf(registry.register(newer, { owner }));
        check(codeOf(outcome) === "permission_denied", `Registering for "${owner}" ended with ${outcome}`);
      }
      check(await registry.renew(lease) === "renewed", "The lease was not renewed");
      await registry.register(newer, { owner: "ann" });
      const last = await registry.register(instanceOf("a", { incarnation: 3 }));
      checkSame((await registry.lookup(WORDS)).instances.map(({ incarnation }) => incarnation), [3], "What is listed");
      await registry.deregister(last);
      await registry.register(instanceOf("a", { incarnation: 4 }), { owner: "ben" });
    });

    add("gives an instance to one of several owners who register it at once", async (registry) => {
      const owners = ["ann", "ben", "cyd"];
      const outcomes = await Promise.all(
        owners.map((owner, n) => outcomeOf(registry.register(instanceOf("a", { incarnation: n }), { owner }))),
      );
      const leases = outcomes.filter((outcome) => codeOf(outcome) !== "permission_denied") as Lease[];
      check(leases.length === 1, `Registering for three owners at once ended with ${outcomes}`);
      check(await registry.renew(leases[0]) === "renewed", "The lease of the one was not renewed");
    });
  }

  if (hooks.expire) {
    const expire = hooks.expire;
    add("removes who does not renew, and says that the lease expired", async (registry, subject) => {
      const lease = await registry.register(instanceOf("a"), { ttlMs: 2_000 });
      await using watch = follow(registry, WORDS);
      await watch.until("a", () => watch.listed.has("a"));
      await expire(subject, lease);
      await watch.until("no a", () => watch.listed.size === 0);
      if (watch.snapshots === 1) checkSame(watch.removals, [["a", "expired"]], "Who was removed, and why");
      checkSame(await idsUnder(registry, WORDS), [], "What is listed");
      check(await registry.renew(lease) === "unknown", "The lease that expired is not unknown");
      await registry.deregister(lease);
      const again = await registry.register(instanceOf("a"));
      check(await registry.renew(again) === "renewed", "What registered again was not renewed");
    });
  }

  return cases;
}

function instanceOf(id: string, differences: Partial<Instance> = {}): Instance {
  return {
    id,
    incarnation: 1,
    endpoints: ["tcp://10.0.0.7:4000"],
    services: [WORDS],
    zone: "",
    weight: 1,
    version: "",
    metadata: {},
    ...differences,
  };
}

async function idsUnder(registry: Registry, service: string): Promise<string[]> {
  return (await registry.lookup(service)).instances.map((instance) => instance.id);
}

/** What a promise settles with, either way. */
function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then((value) => value, (reason) => reason);
}

function codeOf(outcome: unknown): string | undefined {
  return outcome instanceof RpcError ? outcome.code : undefined;
}
