/** Names of procedures and their numbers on one connection (PROTOCOL §4.1): each is spelled once in each direction. */
import { type CallTerms, termsOf } from "../core/call_terms.ts";
import type { Codec } from "../core/codec.ts";
import { MAX_PROCEDURES, type OpenHeader, UNNUMBERED } from "../protocol/open.ts";
import { violation } from "../protocol/violation.ts";

/** The longest name of a procedure that is kept; longer ones belong to nobody. */
const MAX_NAME = 512;

/** The procedures that this side has called. */
export class OwnProcedures {
  #numbers: Map<string, number> | undefined;

  /** Puts a procedure's number into a header, and its name when it was not spelled before. */
  write(name: string, header: OpenHeader): void {
    this.#numbers ??= new Map();
    const number = this.#numbers.get(name);
    if (number !== undefined) {
      header.procedure = number;
      return;
    }
    header.name = name;
    header.procedure = UNNUMBERED;
    if (this.#numbers.size < MAX_PROCEDURES) {
      header.procedure = this.#numbers.size;
      this.#numbers.set(name, header.procedure);
    }
  }
}

/** The procedures that the other side has called. */
export class PeersProcedures {
  readonly #names: string[] = [];
  /** By number, the terms of calls that say nothing but what they call. */
  readonly #usual: CallTerms[] = [];

  /** The name that a header means. @throws {ProtocolViolation} when its number was never spelled, or is not the next */
  read({ procedure, name }: OpenHeader): string {
    const names = this.#names;
    if (name === undefined) {
      if (procedure >= names.length) throw violation(`procedure number ${procedure}, which was never spelled`);
      return names[procedure];
    }
    const kept = name.length > MAX_NAME ? "" : name;
    if (procedure !== UNNUMBERED) {
      if (procedure !== names.length || procedure >= MAX_PROCEDURES) {
        throw violation(`procedure number ${procedure}, where ${names.length} is next`);
      }
      names.push(kept);
    }
    return kept;
  }

  /** The terms of a call of `procedure` that has this header: the same object each time, where that says nothing special. */
  terms(procedure: string, header: OpenHeader, codec: Codec): CallTerms {
    const { procedure: number, kind, idempotent, attempt, hop, criticality, dedupe } = header;
    const usual = number < this.#usual.length ? this.#usual[number] : undefined;
    const special = attempt !== 0 || hop !== 0 || criticality !== "default" || dedupe !== undefined;
    if (usual !== undefined && !special && usual.kind === kind && usual.idempotent === idempotent) {
      if (usual.codec === codec) return usual;
    }
    const key = dedupe === undefined ? undefined : { bytes: dedupe, until: Infinity };
    const terms = termsOf({ procedure, kind, idempotent, codec, attempt, hop, criticality, dedupe: key });
    if (!special && number === this.#usual.length && number < this.#names.length) this.#usual.push(terms);
    return terms;
  }
}
