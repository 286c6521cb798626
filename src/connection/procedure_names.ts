/** Names of procedures and their numbers on one connection (PROTOCOL §4.1): each is spelled once in each direction. */
import { MAX_PROCEDURES, type OpenHeader, UNNUMBERED } from "../protocol/open.ts";
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";

/** The longest name of a procedure that is kept; longer ones belong to nobody. */
const MAX_NAME = 512;

/** Both directions' names and numbers. */
export class ProcedureNames {
  #own: Map<string, number> | undefined;
  readonly #peers: string[] = [];

  /** Puts a procedure's number into a header, and its name when it was not spelled before. */
  write(name: string, header: OpenHeader): void {
    this.#own ??= new Map();
    const number = this.#own.get(name);
    if (number !== undefined) {
      header.procedure = number;
      return;
    }
    header.name = name;
    header.procedure = UNNUMBERED;
    if (this.#own.size < MAX_PROCEDURES) {
      header.procedure = this.#own.size;
      this.#own.set(name, header.procedure);
    }
  }

  /** The name that a header means. @throws {ProtocolViolation} when its number was never spelled, or is not the next */
  read({ procedure, name }: OpenHeader): string {
    const names = this.#peers;
    if (name === undefined) {
      if (procedure >= names.length) throw violation(`${procedure}, which was never spelled`);
      return names[procedure];
    }
    const kept = name.length > MAX_NAME ? "" : name;
    if (procedure !== UNNUMBERED) {
      if (procedure !== names.length || procedure >= MAX_PROCEDURES) {
        throw violation(`${procedure}, where ${names.length} is next`);
      }
      names.push(kept);
    }
    return kept;
  }
}

function violation(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.protocol, `Cannot go on: the other side sent procedure number ${what}`);
}
