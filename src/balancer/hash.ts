/**
 * The hash of the ring. MurmurHash3_x86_32 is quick on 32-bit integers, spreads well, and exists in every language, so that
 * clients written in others can find the same instance.
 */

/**
 * MurmurHash3_x86_32 of a text's UTF-8 bytes; a lone surrogate counts as U+FFFD, as it does for `TextEncoder`.
 *
 * @returns a whole number from 0 to 2^32 − 1
 * @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export function murmur3(text: string, seed = 0): number {
  let hash = seed | 0;
  let block = 0;
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    let unit = text.charCodeAt(i);
    // The bytes of one character, the first of them lowest.
    let encoded = unit;
    let length = 1;
    if (unit >= 0x80) {
      if ((unit & 0xf800) === 0xd800) {
        const low = unit < 0xdc00 ? text.charCodeAt(i + 1) : 0;
        unit = (low & 0xfc00) === 0xdc00 ? 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff) : 0xfffd;
        if (unit !== 0xfffd) i++;
      }
      if (unit < 0x800) {
        length = 2;
        encoded = 0xc0 | (unit >> 6) | continued(unit, 8);
      } else if (unit < 0x10000) {
        length = 3;
        encoded = 0xe0 | (unit >> 12) | continued(unit >> 6, 8) | continued(unit, 16);
      } else {
        length = 4;
        encoded = 0xf0 | (unit >> 18) | continued(unit >> 12, 8) | continued(unit >> 6, 16) | continued(unit, 24);
      }
    }
    const shift = (bytes & 3) << 3;
    block |= encoded << shift;
    if ((bytes & 3) + length >= 4) {
      hash = mixed(hash, block);
      // A shift by 32 would be one by 0.
      block = shift === 0 ? 0 : encoded >>> (32 - shift);
    }
    bytes += length;
  }
  if ((bytes & 3) !== 0) hash ^= scrambled(block);
  return finished(hash, bytes);
}

/** MurmurHash3_x86_32 of the eight bytes of two 32-bit integers, the lowest byte of each first. */
export function murmur3Pair(first: number, second: number, seed: number): number {
  return finished(mixed(mixed(seed, first), second), 8);
}

function continued(unit: number, shift: number): number {
  return (0x80 | (unit & 0x3f)) << shift;
}

function scrambled(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

function mixed(hash: number, block: number): number {
  const joined = hash ^ scrambled(block);
  return (Math.imul((joined << 13) | (joined >>> 19), 5) + 0xe6546b64) | 0;
}

function finished(hash: number, bytes: number): number {
  let left = hash ^ bytes;
  left = Math.imul(left ^ (left >>> 16), 0x85ebca6b);
  left = Math.imul(left ^ (left >>> 13), 0xc2b2ae35);
  return (left ^ (left >>> 16)) >>> 0;
}
