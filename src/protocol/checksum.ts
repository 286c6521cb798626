/** CRC-32C (RFC 3720 §12.1), which finds every run of up to 32 changed bits. */

const POLYNOMIAL = 0x82f63b78;

const table = new Int32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** What a checksum adds to a frame, in bytes. */
export const CHECKSUM_BYTES = 4;

/** The checksum of the bytes from `at` to before `end`. */
export function checksum(bytes: Uint8Array, at: number, end: number): number {
  let crc = -1;
  for (let i = at; i < end; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >>> 8;
  return ~crc >>> 0;
}
