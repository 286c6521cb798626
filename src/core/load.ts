/** What a server says about its load with a reply. */
export interface LoadReport {
  /** How many calls it has running, and waiting for a place. */
  readonly inFlight: number;
  /** How many it lets run; 65 535 when there is no such number. */
  readonly limit: number;
  /** How late its event loop is, in milliseconds. */
  readonly lagMs: number;
}
