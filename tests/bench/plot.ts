/** Bars from what the bench printed with `--json`, as an SVG that stands alone: how many small calls each system makes. */
import type { Row } from "./section.ts";

const WIDTH = 760;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 90;
const BAR = 18;
const GAP = 6;
const HEAD = 52;

/** Draws the rows with so many calls in flight, the fastest first. Bars are as long as the rates are high. */
export function plot(title: string, note: string, rows: readonly Row[]): string {
  const bars = rows
    .map(({ system, callsPerSecond }) => ({ system: String(system), rate: Number(callsPerSecond) }))
    .sort((a, b) => b.rate - a.rate);
  const most = bars[0].rate;
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const height = HEAD + bars.length * (BAR + GAP) + GAP;
  const lines = bars.map(({ system, rate }, n) => {
    const y = HEAD + n * (BAR + GAP);
    const width = Math.max(2, Math.round(room * rate / most));
    const style = system === "erpc" ? "#1f6feb" : system === "floor" ? "#8b949e" : "#adbac7";
    return `  <text x="${LABEL_WIDTH - 8}" y="${y + 13}" text-anchor="end">${escaped(system)}</text>\n` +
      `  <rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR}" fill="${style}"/>\n` +
      `  <text x="${LABEL_WIDTH + width + 6}" y="${y + 13}">${Math.round(rate).toLocaleString("en")}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="#57606a">`,
    `  <rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `  <text x="12" y="20" font-size="14" font-weight="600" fill="#24292f">${escaped(title)}</text>`,
    `  <text x="12" y="38">${escaped(note)}</text>`,
    ...lines,
    "</svg>",
    "",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
