// Decoding that checks is several times slower than decoding that replaces, so what does not check goes first and the
// other has the last word only where a replacement may have happened.
const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/**
 * The text that `bytes` hold, with nothing added, replaced or left out; a byte order mark is a character like others.
 * @throws {TypeError} when they are not UTF-8
 */
export function utf8(bytes: Uint8Array): string {
  const text = LENIENT.decode(bytes);
  return text.includes("\uFFFD") ? STRICT.decode(bytes) : text;
}
