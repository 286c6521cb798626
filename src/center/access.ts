/** Who may do what at a center: register which services, watch which, and look after it. */
import type { Context, Peer } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import { sameSecret } from "../core/secret.ts";
import type { Authenticate, Claim } from "../connection/handshake.ts";
import { isLocalPeer } from "../transport/endpoint.ts";

/**
 * What a token is good for. Services are given as `"demo.Words"`, `"demo."` for all that begin so, or `"*"` for all.
 */
export interface CenterToken {
  /** The token. An empty text is for everybody who brings none. */
  readonly token?: string;
  /**
   * Decides instead of `token` whether a claim is good, such as for tokens that somebody else signs or for certificates. May return
   * the owner's name instead of `true`; whatever else it returns is "no", and so is what it throws.
   */
  readonly verify?: (claim: Claim) => boolean | string | Promise<boolean | string>;
  /** Whose the instances are that are registered with it: nobody else can replace or remove them. Default: its place in the list. */
  readonly owner?: string;
  /** The services that instances may offer which are registered with it. Default: none. */
  readonly register?: readonly string[];
  /** The services that may be looked up and watched with it; `"*"` is needed to watch all at once. Default: none. */
  readonly watch?: readonly string[];
  /** Whether it may evict and drain the instances of others, and set routing rules. Default `false`. */
  readonly admin?: boolean;
}

/** Some of all services. */
class Scope {
  readonly #all: boolean;
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];

  constructor(patterns: readonly string[]) {
    this.#all = patterns.includes("*");
    this.#names = new Set(patterns);
    this.#prefixes = patterns.filter((pattern) => pattern.endsWith("."));
  }

  has(service: string): boolean {
    return this.#all || this.#names.has(service) || this.#prefixes.some((prefix) => service.startsWith(prefix));
  }
}

/** What somebody may do. */
export class Grant {
  /** Whose the instances are that it registers. */
  readonly owner: string;
  /** Whether it may do what concerns others. */
  readonly admin: boolean;
  /** Whether not just anybody has it. */
  readonly isKnown: boolean;
  readonly #register: Scope;
  readonly #watch: Scope;

  constructor(owner: string, { token, register = [], watch = [], admin = false }: CenterToken) {
    this.owner = owner;
    this.admin = admin;
    this.isKnown = owner !== "" && token !== "";
    this.#register = new Scope(register);
    this.#watch = new Scope(watch);
  }

  mayRegister(service: string): boolean {
    return this.#register.has(service);
  }

  mayWatch(service: string): boolean {
    return this.#watch.has(service);
  }
}

const EVERYTHING: CenterToken = { register: ["*"], watch: ["*"] };

/** Knows who may do what. */
export class Access {
  /** What the handshake asks. */
  readonly authenticate: Authenticate | undefined;
  readonly #kind: "tokens" | "hook" | "local";
  readonly #local = new Grant("", { ...EVERYTHING, admin: true });
  /** What was found out once about a connection, which stays where it is. */
  readonly #known = new WeakMap<Peer, Grant>();

  /** @throws {TypeError} when a token can't be used, or a hook is given beside them */
  constructor(tokens: readonly CenterToken[] | undefined, hook: Authenticate | undefined) {
    if (tokens === undefined) {
      this.#kind = hook === undefined ? "local" : "hook";
      this.authenticate = hook;
      return;
    }
    if (hook !== undefined) throw new TypeError("Cannot make a center: give one of tokens and authenticate");
    if (!Array.isArray(tokens)) throw new TypeError("Cannot make a center: tokens must be a list");
    const checked = tokens.map(checkToken);
    this.#kind = "tokens";
    this.authenticate = (claim) => grantFor(claim, checked);
  }

  /** What the other side of a connection may do. @throws {RpcError} `unauthenticated` when nobody knows who it is */
  grantOf(peer: Peer): Grant {
    let grant = this.#known.get(peer);
    if (grant === undefined) this.#known.set(peer, grant = this.#find(peer));
    return grant;
  }

  #find({ identity, endpoint }: Peer): Grant {
    switch (this.#kind) {
      case "tokens":
        return identity as Grant;
      case "hook":
        return new Grant(typeof identity === "string" ? identity : "", {
          ...EVERYTHING,
          admin: isLocalPeer(endpoint),
        });
      case "local":
        if (isLocalPeer(endpoint)) return this.#local;
        throw new RpcError(
          "unauthenticated",
          `Cannot let ${endpoint} use this center: whoever is not on the same machine needs a token, and the center was given none ` +
            "(its option tokens)",
          { executed: "no" },
        );
    }
  }
}

/** Who calls, for the history and the log. */
export function actorOf({ owner }: Grant, { peer }: Context): string {
  return owner === "" ? peer.endpoint : `${owner} at ${peer.endpoint}`;
}

async function grantFor(claim: Claim, tokens: readonly { token: CenterToken; owner: string }[]): Promise<Grant> {
  // All are compared, so that the time that it takes tells nothing.
  let found: Grant | undefined;
  for (const { token, owner } of tokens) {
    const verdict = await verdictOf(claim, token);
    if (verdict !== false) found ??= new Grant(typeof verdict === "string" ? verdict : owner, token);
  }
  if (found !== undefined) return found;
  const why = claim.token === "" ? "a token is required" : "the token was not accepted";
  throw new RpcError("unauthenticated", why, { executed: "no" });
}

async function verdictOf(claim: Claim, { token, verify }: CenterToken): Promise<boolean | string> {
  if (verify === undefined) return sameSecret(claim.token, token!);
  try {
    const verdict: unknown = await verify(claim);
    // A table that has no such token gives `undefined`, and one that has lost its owner's name an empty text: neither is a yes.
    return typeof verdict === "string" && verdict !== "" ? verdict : verdict === true;
  } catch {
    return false;
  }
}

const MEMBERS: ReadonlySet<string> = new Set<keyof CenterToken>([
  "token",
  "verify",
  "owner",
  "register",
  "watch",
  "admin",
]);

function checkToken(token: CenterToken, at: number): { token: CenterToken; owner: string } {
  const refuse = (why: string): never => {
    throw new TypeError(`Cannot use token ${at + 1} of the center: ${why}`);
  };
  if (typeof token !== "object" || token === null) refuse("it must be an object");
  // A word that is misspelled, or a text that says "false", must not let anybody in.
  for (const name of Object.keys(token)) if (!MEMBERS.has(name)) refuse(`it has no ${JSON.stringify(name)}`);
  if (token.admin !== undefined && typeof token.admin !== "boolean") refuse("its admin must be true or false");
  if ((token.token === undefined) === (token.verify === undefined)) refuse("it must have one of token and verify");
  if (token.token !== undefined && typeof token.token !== "string") refuse("its token must be text");
  if (token.verify !== undefined && typeof token.verify !== "function") refuse("its verify must be a function");
  if (token.owner !== undefined && typeof token.owner !== "string") refuse("its owner must be text");
  for (const name of ["register", "watch"] as const) {
    const services = token[name] ?? [];
    if (!Array.isArray(services) || !services.every((service) => typeof service === "string" && service !== "")) {
      refuse(`its ${name} must be a list of services, such as ["demo."]`);
    }
  }
  return { token, owner: token.owner ?? `token ${at + 1}` };
}
