/** The figures of a server as one page for people: what they mean, four of them large, charts, and all of them in tables. */
import { escapeHtml } from "./chart.ts";
import { formatNumber, type Unit } from "./format.ts";
import { drawFacts, drawFigure, drawTable, renderPage } from "./page.ts";
import type { ServerReport } from "./server-suite.ts";
import { chartsOf, tablesOf } from "./server-tables.ts";
import type { Job } from "./words.ts";

export interface ServerPage {
  readonly report: ServerReport;
  readonly job: Job;
  /** What the figures mean for the job. */
  readonly words: readonly string[];
  /** When and where it was measured, and with what. */
  readonly facts: readonly (readonly [name: string, value: string])[];
}

function tilesOf({ answered, allocation, throughput, copies }: ServerReport): string {
  const large = copies.at(-1);
  const tiles: [value: number, unit: Unit, what: string][] = [
    [answered[0]!.p50, "ns", "a call that waits for an answer, median"],
    [Math.max(...throughput.map(({ callsPerSecond }) => callsPerSecond)), "perSecond", "calls without an answer"],
    [allocation.firstResult.p50, "ns", "from the request for a share to the first result"],
  ];
  if (large !== undefined) {
    const slower = Math.max(large.toNs, large.fromNs);
    const size = formatNumber(large.bytes, "bytes");
    tiles.push([large.bytes / (slower / 1e9), "bytesPerSecond", `copies of ${size}, the slower way of the two`]);
  }
  const drawn = tiles.map(
    ([value, unit, what]) =>
      `<div class="tile"><b>${escapeHtml(formatNumber(value, unit))}</b><span>${escapeHtml(what)}</span></div>`,
  );
  return `<div class="tiles">${drawn.join("")}</div>`;
}

export function renderServerPage({ report, job, words, facts }: ServerPage): string {
  const { device, server, endpoint } = report;
  const [first = "", ...others] = words;
  const where: [string, string][] = [
    ["server", server],
    ["device", `${device.name} (${device.id})`],
    ["calls over", endpoint],
  ];
  const body = `<h1>What the way to ${escapeHtml(server)} costs a job</h1>
<p class="lead">${escapeHtml(first)}</p>
${tilesOf(report)}
<p>${others.map(escapeHtml).join(" ")}</p>
<div class="charts">${chartsOf(report, job).map(drawFigure).join("")}</div>
<details><summary>All figures</summary>${tablesOf(report).map(drawTable).join("")}</details>
${drawFacts([...where, ...facts])}`;
  return renderPage({ title: `Sluice: the way to ${server}`, body });
}
