/** Pages that need nothing else: tables and charts as HTML, and the frame around them. Every word is escaped; light and dark are the reader's. */
import { drawChart, escapeHtml, seriesColour } from "./chart.ts";
import type { Chart, Table } from "./figures.ts";
import { formatCell } from "./format.ts";

const STYLE = `
:root { color-scheme: light dark; --ground:#fcfcfb; --raised:#ffffff; --text:#1b1c1d; --muted:#6b6f76; --line:#e2e3e5; --good:#1a7f4b; --bad:#b3261e;
  --series-1:#2563c9; --series-2:#c2570c; --series-3:#0f8a6a; --series-4:#9334a6; --series-5:#8a6d00; --series-6:#b0306a; }
@media (prefers-color-scheme: dark) { :root { --ground:#141618; --raised:#1c1f22; --text:#e7e8ea; --muted:#9aa0a8; --line:#33373c; --good:#5fce95; --bad:#ff8a80;
  --series-1:#7fb0ff; --series-2:#ffa45c; --series-3:#56d3ae; --series-4:#d795e8; --series-5:#e0c04f; --series-6:#ff8dbb; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--ground); color:var(--text); font:16px/1.5 system-ui, sans-serif; }
main { max-width:980px; margin:0 auto; padding:32px 20px 80px; }
h1 { font-size:1.9rem; line-height:1.2; margin:0 0 4px; } h2 { font-size:1.35rem; margin:52px 0 8px; padding-top:20px; border-top:1px solid var(--line); }
h3 { font-size:1rem; margin:26px 0 6px; } p { margin:8px 0; max-width:75ch; } .muted { color:var(--muted); }
nav { display:flex; flex-wrap:wrap; gap:4px 18px; margin:16px 0; } a { color:var(--series-1); }
.scroll { overflow-x:auto; background:var(--raised); border:1px solid var(--line); border-radius:8px; }
table { border-collapse:collapse; width:100%; font-size:.9rem; font-variant-numeric:tabular-nums; }
th, td { padding:6px 12px; text-align:left; border-bottom:1px solid var(--line); white-space:nowrap; } tr:last-child td { border-bottom:0; }
th { color:var(--muted); font-weight:600; } .number { text-align:right; } td.wrap { white-space:normal; min-width:16em; }
.good { color:var(--good); font-weight:600; } .bad { color:var(--bad); font-weight:600; }
figure { margin:22px 0; padding:14px 14px 8px; background:var(--raised); border:1px solid var(--line); border-radius:8px; }
figcaption { font-weight:600; } .legend { display:flex; flex-wrap:wrap; gap:2px 18px; font-size:.85rem; margin-top:4px; }
.legend span::before { content:""; display:inline-block; width:18px; height:3px; margin-right:6px; vertical-align:middle; background:var(--key); }
.legend .dashed::before { background:repeating-linear-gradient(90deg, var(--key) 0 5px, transparent 5px 8px); }
svg { width:100%; height:auto; display:block; margin-top:6px; } svg text { fill:var(--muted); font:12px system-ui, sans-serif; } svg text.axis { fill:var(--text); }
.grid { stroke:var(--line); stroke-width:1; } .line { fill:none; stroke-width:2.2; stroke-linejoin:round; } .baseline { stroke-width:1.6; stroke-dasharray:5 4; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:2px 16px; margin:16px 0; font-size:.9rem; } dt { color:var(--muted); } dd { margin:0; overflow-wrap:anywhere; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit, minmax(190px, 1fr)); gap:12px; margin:26px 0; }
.tile { padding:14px 16px; background:var(--raised); border:1px solid var(--line); border-radius:8px; } .tile b { display:block; font-size:1.7rem; line-height:1.25; font-weight:650; font-variant-numeric:tabular-nums; }
.tile span { display:block; font-size:.85rem; color:var(--muted); } .lead { font-size:1.15rem; }
.charts { --width:min(1240px, 100vw - 40px); width:var(--width); margin-left:calc(50% - var(--width) / 2); display:grid; grid-template-columns:repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap:0 18px; }
.charts figure { margin:9px 0; } .charts svg text { font-size:15px; } summary { cursor:pointer; margin:26px 0 0; font-weight:600; }
`;

/** A cell of a table. */
export const drawCell = (text: string, className: string, tag = "td"): string =>
  `<${tag}${className === "" ? "" : ` class="${className}"`}>${escapeHtml(text)}</${tag}>`;

export function drawTable(table: Table): string {
  const head = table.columns.map((column) => drawCell(column.title, column.unit === undefined ? "" : "number", "th"));
  const rows = table.rows.map((row) => {
    const cells = table.columns.map((column, at) =>
      drawCell(formatCell(row[at], column.unit), column.unit === undefined ? "" : "number"),
    );
    return `<tr>${cells.join("")}</tr>`;
  });
  const note = table.note === undefined ? "" : `<p class="muted">${escapeHtml(table.note)}</p>`;
  return `<h3>${escapeHtml(table.title)}</h3><div class="scroll"><table><thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>${note}`;
}

export function drawFigure(chart: Chart): string {
  const legend = chart.series.map(
    (series, index) =>
      `<span${series.baseline ? ' class="dashed"' : ""} style="--key:${seriesColour(chart, index)}">${escapeHtml(series.name)}</span>`,
  );
  const note = chart.note === undefined ? "" : `<p class="muted">${escapeHtml(chart.note)}</p>`;
  return `<figure><figcaption>${escapeHtml(chart.title)}</figcaption><div class="legend">${legend.join("")}</div>${drawChart(chart)}${note}</figure>`;
}

/** Names and what they stand for. */
export const drawFacts = (facts: readonly (readonly [name: string, value: string])[]): string =>
  `<dl>${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`).join("")}</dl>`;

export const drawWords = (sentences: readonly string[]): string =>
  sentences.map((sentence) => `<p>${escapeHtml(sentence)}</p>`).join("");

/** The whole page around a body that is HTML already. */
export const renderPage = ({
  title,
  body,
}: {
  readonly title: string;
  readonly body: string;
}): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body><main>
${body}
</main></body></html>
`;
