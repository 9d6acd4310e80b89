/** The report as one HTML page that needs nothing else: tables, charts, and every promise with what was measured. */

import { escapeHtml } from "../../client/measure/chart.ts";
import { formatNumber } from "../../client/measure/format.ts";
import { drawCell, drawFacts, drawFigure, drawTable, drawWords, renderPage } from "../../client/measure/page.ts";
import { type Bar, boundOf, type CaseReport, meetsBar, type Report } from "./model.ts";

function drawBars(bars: readonly Bar[]): string {
  if (bars.length === 0) return "";
  const rows = bars.map((bar) => {
    const met = meetsBar(bar);
    const what = bar.caveat === undefined ? bar.what : `${bar.what} (${bar.caveat})`;
    return `<tr>${drawCell(what, "wrap")}${drawCell(formatNumber(bar.measured, bar.unit), "number")}${drawCell(boundOf(bar), "number")}${drawCell(met ? "met" : "missed", met ? "good" : "bad")}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th>promise</th><th class="number">measured</th><th class="number">bar</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function drawCase(report: CaseReport): string {
  return `<section id="${escapeHtml(report.name)}"><h2>${escapeHtml(report.title)}</h2>${drawWords(report.words)}${report.charts.map(drawFigure).join("")}${report.tables.map(drawTable).join("")}</section>`;
}

function drawMachine({ machine, startedAt, quick }: Report): string {
  const facts: [string, string][] = [
    ["machine", `${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryBytes, "bytes")}`],
    ["system", machine.system],
    ["Node", machine.node],
    ["baseline", machine.compiler ?? "Node: there is no C compiler here"],
    ["Sluice", machine.commit === undefined ? machine.version : `${machine.version}, commit ${machine.commit}`],
    ["load", `${machine.loadAverage.toFixed(1)} runnable processes in the last minute when it began`],
    ["measured", `${startedAt}${quick ? ", quick run: fewer rounds" : ""}`],
  ];
  return drawFacts(facts);
}

/** The whole page. */
export function renderHtml(report: Report): string {
  const links = report.cases.map((entry) => `<a href="#${escapeHtml(entry.name)}">${escapeHtml(entry.title)}</a>`);
  const body = `<h1>What remoting costs</h1>
<p>Every figure stands beside plain C sockets that moved the same bytes in the same run on the same machine; the ratio is what counts, the
absolute figure belongs to this machine.</p>
${drawMachine(report)}<nav>${links.join("")}</nav>
${drawBars(report.cases.flatMap((entry) => entry.bars))}
${report.cases.map(drawCase).join("\n")}`;
  return renderPage({ title: "Sluice benchmarks", body });
}
