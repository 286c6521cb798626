/** Seeds that found something once. What they are made of changes with the simulator; they cost little, and are run for good. */
export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 11, found: "a silent connection was looked at again and again before any time had passed" },
  { seed: 510, found: "a client was closed for calls that found no place after a partition" },
  { seed: 605, found: "an event with a bit flipped ended the loop that follows a center" },
  { seed: 748, found: "a center was held to time that it stood still between two looks, which nothing can tell it of" },
  { seed: 1_110, found: "pings that waited behind a slow write arrived all at once" },
  { seed: 30_720, found: "a slow machine was taken for quick once its program had begun anew" },
  {
    seed: 430_111,
    found: "a call that had not arrived whole when a drain's time was up was lost rather than given back",
  },
];
