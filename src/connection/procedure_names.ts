/** Names of procedures and their numbers on one connection (PROTOCOL §4.1): each is spelled once in each direction. */
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
}
