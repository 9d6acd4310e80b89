/** A chart over time, by uPlot: lines, or areas stacked upon each other, in the colours of the page. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  readonly name: string;
  /** One for each time; null where there is none. */
  readonly values: readonly (number | null)[];
  /** A class that carries a colour; the page's own colour without. */
  readonly colour?: string;
}

export interface ChartProps {
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** Whether each series stands upon the one before it. */
  readonly isStacked?: boolean;
}

const HEIGHT = 180;

/** Sums from below, drawn from the top of the pile down, so that each covers what is beneath it. */
function stacked(series: readonly Series[]): (number | null)[][] {
  let below: readonly (number | null)[] = series[0]?.values.map(() => 0) ?? [];
  return series.map(({ values }) => {
    const sums = values.map((value, index) => (value === null ? null : value + (below[index] ?? 0)));
    below = sums.map((sum) => sum ?? 0);
    return sums;
  });
}

/** What a style sheet says about an element of this class. */
function styleOf(parent: HTMLElement, property: string, className = ""): string {
  const probe = document.createElement("i");
  probe.className = className;
  parent.append(probe);
  const value = getComputedStyle(probe).getPropertyValue(property).trim();
  probe.remove();
  return value;
}

function optionsFor(host: HTMLElement, { series, format, isStacked = false }: ChartProps): uPlot.Options {
  const muted = styleOf(host, "--muted");
  const grid = { stroke: styleOf(host, "--line"), width: 1 };
  const axis = { stroke: muted, grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const names = isStacked ? [...series].reverse() : series;
  return {
    width: host.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [axis, { ...axis, size: 72, values: (_plot, splits) => splits.map(format) }],
    series: [
      {},
      ...names.map(({ name, colour }) => {
        const stroke = styleOf(host, colour === undefined ? "--accent" : "--tenant", colour);
        return { label: name, stroke, width: 1.5, fill: isStacked ? stroke : `${stroke}22`, points: { show: false } };
      }),
    ],
  };
}

function dataOf({ times, series, isStacked = false }: ChartProps): uPlot.AlignedData {
  const columns = isStacked ? stacked(series).reverse() : series.map(({ values }) => [...values]);
  return [times.map((time) => time / 1_000), ...columns];
}

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = props.series.map(({ name, colour }) => `${name}/${colour}`).join("\n");
  // A chart is built anew when its series change, and fed otherwise.
  useEffect(() => {
    const element = host.current!;
    const build = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(element, props), dataOf(props), element);
    };
    build();
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", build);
    return () => {
      scheme.removeEventListener("change", build);
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [shape, props.isStacked]);
  useEffect(() => plot.current?.setData(dataOf(props)));
  const last = props.series.map(({ name, values }) => `${name}: ${props.format(values.at(-1) ?? 0)}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>{props.title}</figcaption>
      <div ref={host} class="chart-host" role="img" aria-label={`${props.title}. Now: ${last || "nothing"}`} />
    </figure>
  );
}
