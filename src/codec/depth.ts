/** How deep lists and objects of one message may lie in each other, whatever the codec. */
export const MAX_DEPTH = 100;

/** A text that is nested too deep and closes all that it opens is at least as long. */
const SHORTEST = 2 * (MAX_DEPTH + 1);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Whether the lists and objects of a JSON text lie in each other deeper than {@link MAX_DEPTH}, found without making any
 * of them. Of a text that is not JSON it says that only as far as it is, so a parser still has to refuse it.
 */
export function isTooDeep(text: string): boolean {
  const { length } = text;
  if (length < SHORTEST) return false;
  let depth = 0;
  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) {
      do {
        at = text.indexOf('"', at + 1);
        if (at === -1) return false;
      } while (isEscaped(text, at));
      continue;
    }
    // One bit tells "[" from "{", and "]" from "}".
    const bracket = unit | 0x20;
    if (bracket === CLOSE) depth--;
    else if (bracket === OPEN && ++depth > MAX_DEPTH) return true;
  }
  return false;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
