/** A chart over time, by uPlot: lines, or areas stacked upon each other, in the colours of the page. */
import { useEffect, useRef, useState } from "preact/hooks";
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
  /** Whether values are rare: then they are points, joined over what is missing. */
  readonly isSparse?: boolean;
  /** Top of the scale, where it is fixed. */
  readonly top?: number;
  /** What the scale counts in, where not in any decimal part: powers of two, or whole things. */
  readonly steps?: keyof typeof STEPS;
}

/** Steps of a scale of bytes: 1, 2, 4 ...; of one of things: 1, 2, 5, 10 ... */
const STEPS = {
  binary: Array.from({ length: 60 }, (_, power) => 2 ** power),
  whole: Array.from({ length: 30 }, (_, index) => [1, 2, 5][index % 3]! * 10 ** Math.floor(index / 3)),
};

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

interface Drawing {
  readonly host: HTMLElement;
  /** Hears which time is pointed at. */
  readonly onPoint: (index: number | undefined) => void;
}

function optionsFor({ host, onPoint }: Drawing, props: ChartProps): uPlot.Options {
  const { series, format, isStacked = false, isSparse = false, top, steps } = props;
  const grid = { stroke: styleOf(host, "--line"), width: 1 };
  const axis = { stroke: styleOf(host, "--muted"), grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const names = isStacked ? [...series].reverse() : series;
  return {
    width: host.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    padding: [8, 20, 0, 0],
    legend: { show: false },
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
    scales: { y: { range: (_plot, _min, max) => [0, top ?? (max > 0 ? max * 1.08 : 1)] } },
    axes: [
      {
        ...axis,
        size: 30,
        values: (_plot, splits, _index, _space, step) => splits.map((at) => clock(at * 1_000, step)),
      },
      {
        ...{ ...axis, size: 72, values: (_plot: uPlot, splits: number[]) => splits.map(format) },
        ...(steps === undefined ? {} : { incrs: STEPS[steps] }),
      },
    ],
    series: [
      {},
      ...names.map(({ name, colour }) => {
        const stroke = styleOf(host, colour === undefined ? "--accent" : "--tenant", colour);
        const points = { show: isSparse, size: 4, fill: stroke };
        return {
          ...{ label: name, stroke, width: 1.5, points, spanGaps: isSparse },
          ...(isStacked ? { fill: stroke } : isSparse || series.length > 1 ? {} : { fill: `${stroke}22` }),
        };
      }),
    ],
  };
}

/** A time on the axis, as short as the distance to the next allows. */
function clock(atMs: number, stepSeconds: number): string {
  const at = new Date(atMs);
  if (stepSeconds >= 86_400) return at.toLocaleDateString(undefined, { weekday: "short", day: "numeric" });
  const seconds = stepSeconds < 60 ? ({ second: "2-digit" } as const) : {};
  return at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...seconds });
}

function dataOf({ times, series, isStacked = false }: ChartProps): uPlot.AlignedData {
  const columns = isStacked ? stacked(series).reverse() : series.map(({ values }) => [...values]);
  return [times.map((time) => time / 1_000), ...columns];
}

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [pointed, setPointed] = useState<number | undefined>(undefined);
  const shape = props.series.map(({ name, colour }) => `${name}/${colour}`).join("\n");
  // A chart is built anew when its series change, and fed otherwise.
  useEffect(() => {
    const element = host.current!;
    const build = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor({ host: element, onPoint: setPointed }, props), dataOf(props), element);
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
  useEffect(() => plot.current?.setData(dataOf(props)), [props.times, props.series]);
  return (
    <figure class="chart">
      <figcaption>{props.title}</figcaption>
      <div ref={host} class="chart-host" role="img" aria-label={`${props.title}. ${readingOf(props, undefined)}`} />
      <Legend {...props} pointed={pointed} />
    </figure>
  );
}

/** The values at a time, the last one without; as a sentence. */
function readingOf({ series, format }: ChartProps, pointed: number | undefined): string {
  const parts = series.map(({ name, values }) => `${name}: ${valueAt(values, { format, pointed })}`);
  return parts.length === 0 ? "Nothing." : `Now ${parts.join(", ")}.`;
}

function valueAt(
  values: Series["values"],
  { format, pointed }: { readonly format: ChartProps["format"]; readonly pointed: number | undefined },
): string {
  const value = pointed === undefined ? values.findLast((each) => each !== null) : values[pointed];
  return value === undefined || value === null ? "–" : format(value);
}

function Legend({ series, format, times, pointed }: ChartProps & { readonly pointed: number | undefined }) {
  const at = pointed === undefined ? undefined : times[pointed];
  return (
    <p class="chart-legend" aria-hidden="true">
      <span class="quiet">{at === undefined ? "now" : clock(at, 1)}</span>
      {series.map(({ name, values, colour = "series-first" }) => (
        <span key={name} class="tenant-name">
          <i class={`dot ${colour} tenant`} />
          <span class="clip">{name}</span>
          <b>{valueAt(values, { format, pointed })}</b>
        </span>
      ))}
    </p>
  );
}
