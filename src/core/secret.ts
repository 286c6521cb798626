const encoder = new TextEncoder();

/**
 * Whether two secrets are the same, in a time that tells nothing about where they differ: for tokens in an `authenticate` hook
 * or an interceptor. Only the length of `given` shows.
 */
export function sameSecret(given: string, expected: string): boolean {
  const [left, right] = [encoder.encode(given), encoder.encode(expected)];
  let difference = left.length ^ right.length;
  for (let i = 0; i < left.length; i++) difference |= left[i] ^ (right[i % (right.length || 1)] ?? 0);
  return difference === 0;
}
