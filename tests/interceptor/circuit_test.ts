import { assert, assertEquals } from "@std/assert";
import { Circuit, type CircuitPolicy, type Outcome, type Ticket } from "../../src/interceptor/circuit.ts";
import { fraction } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

const POLICY: CircuitPolicy = {
  windowMs: 1_000,
  minCalls: 10,
  failureRatio: 0.5,
  slowRatio: 0.8,
  openMs: 500,
  maxOpenMs: 2_000,
  probes: 3,
};

/** Lets calls through and settles them at once. */
function feed(circuit: Circuit, outcomes: Outcome[], now: number): void {
  for (const outcome of outcomes) circuit.settle(circuit.admit(now)!, outcome, now);
}

const some = (count: number, outcome: Outcome): Outcome[] => Array(count).fill(outcome);

/** A circuit that has just opened, at time 0. */
function opened(policy: Partial<CircuitPolicy> = {}): Circuit {
  const circuit = new Circuit({ ...POLICY, ...policy }, 0);
  feed(circuit, some(10, "failure"), 0);
  assertEquals(circuit.state(0).state, "open");
  return circuit;
}

Deno.test("Circuit opens when half of enough calls have failed, and not before", () => {
  const rows: [Outcome[], "open" | "closed"][] = [
    [some(9, "failure"), "closed"],
    [some(10, "failure"), "open"],
    [[...some(6, "success"), ...some(5, "failure")], "closed"],
    [[...some(5, "success"), ...some(5, "failure")], "open"],
    [[...some(100, "unknown"), ...some(9, "failure")], "closed"],
    [[...some(3, "success"), ...some(7, "slow")], "closed"],
    [[...some(2, "success"), ...some(8, "slow")], "open"],
  ];
  for (const [outcomes, expected] of rows) {
    const circuit = new Circuit(POLICY, 0);
    feed(circuit, outcomes, 0);
    assertEquals(circuit.state(0).state, expected, `${outcomes}`);
  }
});

Deno.test("Circuit forgets what is older than its window, slice by slice", () => {
  const circuit = new Circuit(POLICY, 0);
  feed(circuit, some(4, "failure"), 0);
  feed(circuit, some(5, "failure"), 450);
  assertEquals([circuit.state(999).calls, circuit.state(1_099).failures, circuit.state(1_499).calls], [9, 5, 0]);
  feed(circuit, some(5, "failure"), 1_450);
  assertEquals(circuit.state(1_450).state, "closed");
  // From far away.
  assertEquals(circuit.state(1e9).calls, 0);
});

Deno.test("Circuit refuses while it is open, and then lets a few through at a time", () => {
  const circuit = opened();
  assertEquals([circuit.admit(0), circuit.admit(499)], [undefined, undefined]);
  assertEquals(circuit.state(100).retryInMs, 400);
  const tickets = [1, 2, 3].map(() => circuit.admit(500)!);
  assertEquals([circuit.admit(500), circuit.state(500).state], [undefined, "half_open"]);
  circuit.settle(tickets[0], "success", 510);
  circuit.settle(tickets[1], "success", 510);
  assertEquals(circuit.state(510).state, "half_open");
  circuit.settle(tickets[2], "success", 520);
  assertEquals([circuit.state(520).state, circuit.state(520).calls, circuit.state(520).refused], ["closed", 0, 3]);
});

Deno.test("Circuit opens for twice as long with the first attempt that fails or is slow, up to its longest", () => {
  for (const outcome of ["failure", "slow"] as const) {
    const circuit = opened();
    let now = 0;
    for (const openMs of [500, 1_000, 2_000, 2_000]) {
      assertEquals(circuit.state(now).retryInMs, openMs);
      now += openMs;
      const [first, second] = [circuit.admit(now)!, circuit.admit(now)!];
      circuit.settle(first, outcome, now);
      // The other one began before that and says nothing now.
      circuit.settle(second, "success", now);
      assertEquals(circuit.state(now).state, "open");
    }
    // When it has closed in between, it begins anew.
    feed(circuit, some(3, "success"), now + 2_000);
    feed(circuit, some(10, "failure"), now + 2_000);
    assertEquals(circuit.state(now + 2_000).retryInMs, 500);
  }
});

Deno.test("Circuit is not kept half open by attempts that are cancelled", () => {
  const circuit = opened();
  for (let i = 0; i < 100; i++) {
    const ticket = circuit.admit(500);
    assert(ticket !== undefined, `attempt ${i}`);
    circuit.settle(ticket, "unknown", 500);
  }
  feed(circuit, some(3, "success"), 501);
  assertEquals(circuit.state(501).state, "closed");
});

Deno.test("Circuit is not kept half open by attempts that never end", () => {
  const circuit = opened();
  for (let i = 0; i < 3; i++) circuit.admit(500);
  assertEquals(circuit.admit(999), undefined);
  feed(circuit, some(3, "success"), 1_000);
  assertEquals(circuit.state(1_000).state, "closed");
});

Deno.test("Circuit takes no notice of calls from before it opened, however many end late", () => {
  const circuit = new Circuit(POLICY, 0);
  const late = Array.from({ length: 50 }, () => circuit.admit(0)!);
  feed(circuit, some(10, "failure"), 0);
  for (const ticket of late.slice(0, 25)) circuit.settle(ticket, "failure", 100);
  assertEquals([circuit.state(100).state, circuit.state(100).opened], ["open", 1]);
  const probe = circuit.admit(500)!;
  for (const ticket of late.slice(25)) circuit.settle(ticket, "failure", 510);
  assertEquals(circuit.state(510).state, "half_open");
  circuit.settle(probe, "success", 520);
  feed(circuit, some(2, "success"), 520);
  assertEquals(circuit.state(520).state, "closed");
});

const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);

Deno.test("Circuit, whatever happens: few attempts at once while half open, and never stuck (invariant 18)", () => {
  for (let run = 0; run < 300; run++) {
    const random = seededRandom(seed + run);
    const chance = () => fraction(random);
    const policy = { ...POLICY, probes: 1 + Math.floor(chance() * 4), minCalls: 1 + Math.floor(chance() * 10) };
    const circuit = new Circuit(policy, 0);
    const context = `ERPC_SEED=${seed}, run ${run}`;
    const sick = chance();
    let now = 0;
    let running: Ticket[] = [];
    let probing: Ticket[] = [];
    for (let step = 0; step < 400; step++) {
      now += chance() < 0.5 ? 0 : chance() * 300;
      if (chance() < 0.5) {
        const ticket = circuit.admit(now);
        if (ticket !== undefined) running.push(ticket);
        if (ticket !== undefined && circuit.state(now).state === "half_open") probing.push(ticket);
        const young = probing.filter((ticket) => now - ticket.admittedAt < policy.openMs);
        if (circuit.state(now).state === "half_open") {
          assert(young.length <= policy.probes, `${context}: ${young.length} attempts at once`);
        }
      } else if (running.length > 0) {
        const [ticket] = running.splice(Math.floor(chance() * running.length), 1);
        probing = probing.filter((other) => other !== ticket);
        // Some calls never end.
        if (chance() < 0.05) continue;
        const outcome = chance() < 0.3
          ? "unknown"
          : chance() < sick
          ? (chance() < 0.5 ? "failure" : "slow")
          : "success";
        const before = circuit.state(now);
        circuit.settle(ticket, outcome, now);
        const after = circuit.state(now);
        if (before.state === "open") assertEquals(after.state, "open", context);
        if (before.state !== after.state) probing = [];
      }
    }
    // All is well from here: it must close in the end, whatever was left hanging.
    now += policy.maxOpenMs;
    for (let i = 0; i < 20 && circuit.state(now).state !== "closed"; i++) {
      now += policy.openMs;
      const ticket = circuit.admit(now);
      if (ticket !== undefined) circuit.settle(ticket, "success", now);
    }
    assertEquals(circuit.state(now).state, "closed", context);
    running = [];
  }
});
