// Bars as SVG, 830 pixels wide like a page on GitHub, for a light and a dark background.

import { showNumber } from "./units.ts";

/** One line of a chart. */
export interface Row {
  readonly name: string;
  /** Text in smaller letters below the name. */
  readonly detail: string;
  readonly colour: string;
  /** One value for each panel; undefined if it was not measured. */
  readonly values: readonly (number | undefined)[];
}

/** The content of a chart. */
export interface BarChart {
  readonly title: string;
  readonly subtitle: readonly string[];
  /** The heads of the columns of bars, with their units. */
  readonly panels: readonly string[];
  readonly rows: readonly Row[];
}

const WIDTH = 830;
const MARGIN = 12;
const LABELS = 316;
const GAP = 20;
/** The room behind the longest bar, for its number. */
const NUMBER = 52;
const ROW = 36;
const BAR = 20;

const STYLE = `
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .ground { fill: #ffffff; }
  .title { font-size: 16px; font-weight: 600; }
  .head, .name, .number { font-size: 13px; }
  .head, .own { font-weight: 600; }
  .detail, .subtitle { font-size: 11.5px; fill: #59636e; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; }
    text { fill: #f0f6fc; }
    .detail, .subtitle { fill: #9198a1; }
  }`;

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

function text(x: number, y: number, kind: string, content: string): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}">${escaped(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The start of each panel and the length of its longest bar. The first panel is twice as wide as each other one. */
function columns(count: number): { x: number; length: number }[] {
  const room = WIDTH - 2 * MARGIN - LABELS - count * GAP;
  const unit = room / (count + 1);
  return Array.from({ length: count }, (_, index) => {
    const before = index === 0 ? 0 : unit * (index + 1);
    const x = MARGIN + LABELS + GAP * (index + 1) + before;
    return { x, length: unit * (index === 0 ? 2 : 1) - NUMBER };
  });
}

/** Draws a chart. The first row is this module's. */
export function barChart({ title, subtitle, panels, rows }: BarChart): string {
  const parts = [text(MARGIN, 26, "title", title)];
  let y = 28;
  for (const line of subtitle) parts.push(text(MARGIN, y += 17, "subtitle", line));
  y += 30;
  const places = columns(panels.length);
  for (const [index, { x, length }] of places.entries()) {
    parts.push(text(x, y, "head", panels[index]!));
    const most = Math.max(...rows.map(({ values }) => values[index] ?? 0));
    for (const [line, { values, colour }] of rows.entries()) {
      const value = values[index];
      const middle = y + 12 + ROW * line + ROW / 2;
      if (value === undefined) continue;
      const width = Math.max(most > 0 ? value / most * length : 0, 1);
      parts.push(
        `<rect x="${round(x)}" y="${middle - BAR / 2}" width="${round(width)}" height="${BAR}" ` +
          `rx="2" fill="${colour}"/>`,
        text(x + width + 5, middle + 4.5, "number", showNumber(value)),
      );
    }
  }
  for (const [line, { name, detail }] of rows.entries()) {
    const middle = y + 12 + ROW * line + ROW / 2;
    const own = name.startsWith("this module") ? "name own" : "name";
    parts.push(text(MARGIN, middle - (detail ? 2 : -4.5), own, name));
    if (detail) parts.push(text(MARGIN, middle + 12, "detail", detail));
  }
  const height = y + 12 + ROW * rows.length + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" ` +
    `height="${height}" role="img" aria-label="${escaped(title)}"><style>${STYLE}</style>\n` +
    // The chart has its own background: a page may be light although the reader's system is dark.
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>\n${
      parts.join("\n")
    }\n</svg>\n`;
}
