/** What a text must be: exactly this; or one that begins so; or any at all, or none. An empty text counts as none. */
export type TextMatch = string | { readonly prefix: string } | { readonly present: boolean };

/** Texts that must all be what is said of them, by what they are called. */
export type TextMatches = { readonly [key: string]: TextMatch };

/** Whether a text, or none, is what it must be. */
export function matchesText(match: TextMatch, text: string | undefined): boolean {
  if (typeof match === "string") return text === match;
  if ("prefix" in match) return text !== undefined && text.startsWith(match.prefix);
  return (text !== undefined && text !== "") === match.present;
}

/** What a text must be, in words that follow what it is a text of: `version "2"`. */
export function describeMatch(match: TextMatch): string {
  if (typeof match === "string") return JSON.stringify(match);
  if ("prefix" in match) return `${JSON.stringify(match.prefix)}…`;
  return match.present ? "present" : "absent";
}
