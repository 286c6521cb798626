import { runtimePlatform } from "../core/platform.ts";
import type { Io } from "./io.ts";

const STYLES = { bold: 1, red: 31, green: 32, yellow: 33, gray: 90 } as const;

/** Text that came from elsewhere, with control characters spelled out: none of it may steer the terminal. JSON stays JSON. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Text in a style, where there are styles. */
export function styled(style: keyof typeof STYLES, text: string, io: Pick<Io, "color">): string {
  return io.color ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** What time it is, for people and for sorting. */
export function timestamp(): string {
  return new Date(runtimePlatform.clock.wall()).toISOString();
}
