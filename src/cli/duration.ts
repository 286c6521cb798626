const UNITS: readonly [suffix: string, ms: number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], [
  "s",
  1_000,
]];

/** A duration in its largest unit, for tables: `3m`, `0s`, `-2s`; a dash when there is none. */
export function durationText(ms: number | undefined): string {
  if (ms === undefined) return "-";
  const [suffix, unit] = UNITS.find(([, unit]) => Math.abs(ms) >= unit) ?? ["s", 1_000];
  const count = Math.trunc(ms / unit);
  return `${count === 0 ? 0 : count}${suffix}`;
}
