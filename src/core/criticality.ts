/**
 * How much a call matters when a server can't take all of them: `sheddable` ones are refused first, `critical` ones last.
 */
export type Criticality = "sheddable" | "default" | "critical";

const ALL: ReadonlySet<unknown> = new Set<Criticality>(["sheddable", "default", "critical"]);

/** Checks a criticality. @throws {TypeError} */
export function checkCriticality(value: Criticality): Criticality {
  if (ALL.has(value)) return value;
  throw new TypeError(
    `Cannot use criticality ${JSON.stringify(value)}: it must be "sheddable", "default" or "critical"`,
  );
}

/**
 * What a call is when both the call that it is made for and its method say something: what is optional for its caller stays
 * so, and nothing optional becomes urgent because its caller is.
 */
export function jointCriticality(caller: Criticality, method: Criticality): Criticality {
  if (caller === "sheddable" || method === "sheddable") return "sheddable";
  return caller === "default" ? method : caller;
}
