/** Charts as SVG text: lines over linear or logarithmic axes. Colours come from the page's variables, so that one drawing serves light and dark. */
import type { Axis, Chart } from "./figures.ts";
import { formatNumber } from "./format.ts";

const WIDTH = 720;
const HEIGHT = 380;
const LEFT = 92;
/** Half of the last column's label stands there. */
const RIGHT = 34;
const TOP = 16;
const BOTTOM = 52;

const SERIES_COLOURS = 6;

export const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

interface Scale {
  readonly ticks: readonly number[];
  /** Position in [0, 1]. */
  at(value: number): number;
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough) ?? 10;
  return factor * power;
}

function linearScale(values: readonly number[]): Scale {
  const top = Math.max(...values, Number.MIN_VALUE);
  const step = niceStep(top / 5);
  const end = Math.ceil(top / step) * step;
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return { ticks, at: (value) => value / end };
}

/** Powers of ten, with 2 and 5 between them where the range is short. */
function logScale(values: readonly number[], binary: boolean): Scale {
  const positive = values.filter((value) => value > 0);
  const low = Math.min(...positive);
  const high = Math.max(...positive);
  const base = binary ? 2 : 10;
  const exponent = (value: number): number => Math.log(value) / Math.log(base);
  // A value a tenth below a power does not open another decade.
  const first = Math.floor(exponent(low) + (binary ? 1e-9 : 0.05));
  const last = Math.max(first + 1, Math.ceil(exponent(high) - 1e-9));
  const every = Math.max(1, Math.ceil((last - first) / 8));
  const factors = base === 10 && last - first <= 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = first; power <= last; power += every) {
    for (const factor of factors) if (power < last || factor === 1) ticks.push(factor * base ** power);
  }
  return { ticks, at: (value) => (exponent(value) - first) / (last - first) };
}

function scaleOf(axis: Axis, values: readonly number[]): Scale {
  if (axis.scale === "linear") return linearScale(values);
  return logScale(values, axis.unit === "bytes" || axis.unit === "count");
}

function drawSeries(
  chart: Chart,
  index: number,
  place: (point: readonly [number, number]) => readonly [number, number],
): string {
  const series = chart.series[index]!;
  const colour = seriesColour(chart, index);
  const places = series.points.map(place);
  const path = places.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const className = series.baseline ? "line baseline" : "line";
  const dots = places.map(([cx, cy], at) => {
    const [x, y] = series.points[at]!;
    const figures = `${formatNumber(x, chart.x.unit)}: ${formatNumber(y, chart.y.unit)}`;
    const label = escapeHtml(`${series.name}, ${figures}`);
    return `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="${series.baseline ? 3 : 4}" style="fill:${colour}"><title>${label}</title></circle>`;
  });
  return `<path class="${className}" style="stroke:${colour}" d="${path}"/>${dots.join("")}`;
}

/** The colour of the series at `index`; a baseline has that of the series before it, which it belongs to. */
export function seriesColour(chart: Chart, index: number): string {
  const number = chart.series.slice(0, index + 1).filter((series) => !series.baseline).length;
  return `var(--series-${((number + SERIES_COLOURS - 1) % SERIES_COLOURS) + 1})`;
}

export function drawChart(chart: Chart): string {
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) return "";
  const xScale = scaleOf(
    chart.x,
    points.map(([x]) => x),
  );
  const yScale = scaleOf(
    chart.y,
    points.map(([, y]) => y),
  );
  const xAt = (value: number): number => LEFT + xScale.at(value) * (WIDTH - LEFT - RIGHT);
  const yAt = (value: number): number => HEIGHT - BOTTOM - yScale.at(value) * (HEIGHT - TOP - BOTTOM);
  const columns = xScale.ticks.map((tick) => {
    const x = xAt(tick).toFixed(1);
    const text = escapeHtml(formatNumber(tick, chart.x.unit));
    return `<line class="grid" x1="${x}" x2="${x}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${x}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${text}</text>`;
  });
  const rows = yScale.ticks.map((tick) => {
    const y = yAt(tick).toFixed(1);
    const text = escapeHtml(formatNumber(tick, chart.y.unit));
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/><text x="${LEFT - 8}" y="${y}" dy="0.35em" text-anchor="end">${text}</text>`;
  });
  const lines = chart.series.map((_series, index) => drawSeries(chart, index, ([x, y]) => [xAt(x), yAt(y)]));
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(chart.title)}">`,
    ...columns,
    ...rows,
    ...lines,
    `<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escapeHtml(chart.x.title)}</text>`,
    `<text class="axis" transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(chart.y.title)}</text>`,
    "</svg>",
  ].join("");
}
