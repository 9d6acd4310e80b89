/** The report: figures are summarised by rank, shown with their units, and every word of it is escaped. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { renderHtml } from "../../bench/report/html.ts";
import { renderMarkdown } from "../../bench/report/markdown.ts";
import { type Chart, meetsBar, type Report } from "../../bench/report/model.ts";
import { renderCase, renderTable } from "../../bench/report/terminal.ts";
import { drawChart } from "../../client/measure/chart.ts";
import { formatNumber, threeDigits } from "../../client/measure/format.ts";
import { renderServerPage } from "../../client/measure/server-page.ts";
import { median, ofRounds, percentile, summarize } from "../../client/measure/statistics.ts";

describe("statistics", () => {
  it("take percentiles by the nearest rank", () => {
    const sorted = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0.01, 0.5, 0.99, 1].map((fraction) => percentile(sorted, fraction))).toEqual([1, 50, 99, 100]);
    expect(percentile([7], 0.99)).toBe(7);
    expect(() => percentile([], 0.5)).toThrow();
  });

  it("take the middle of an even number of values, in any order", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([9, 1, 5])).toBe(5);
  });

  it("do not let one disturbed round count", () => {
    const quiet = summarize([10, 11, 12]);
    const disturbed = summarize([900, 901, 902]);
    expect(ofRounds([quiet, disturbed, quiet])).toMatchObject({ n: 9, p50: 11 });
  });
});

describe("figures", () => {
  it("have three digits and a unit", () => {
    expect(threeDigits(0.012345)).toBe("0.0123");
    expect(threeDigits(1234.5)).toBe("1235");
    expect(formatNumber(14_732, "ns")).toBe("14.7 µs");
    expect(formatNumber(65_536, "bytes")).toBe("64 KiB");
    expect(formatNumber(1_900_000, "perSecond")).toBe("1.9 M/s");
    expect(formatNumber(1.318, "ratio")).toBe("1.32x");
    expect(formatNumber(Number.NaN, "ns")).toBe("-");
  });

  it("are held against a bar from either side", () => {
    const bar = { what: "", unit: "ratio", measured: 1.4 } as const;
    expect(meetsBar({ ...bar, atMost: 1.4 })).toBe(true);
    expect(meetsBar({ ...bar, atMost: 1.39 })).toBe(false);
    expect(meetsBar({ ...bar, atLeast: 1.5 })).toBe(false);
  });
});

const chart: Chart = {
  title: "batch <size>",
  x: { title: "calls", unit: "count", scale: "log" },
  y: { title: "throughput", unit: "perSecond", scale: "log" },
  series: [
    {
      name: 'a "b" & <c>',
      points: [
        [1, 20_000],
        [4096, 2_000_000],
      ],
    },
  ],
};

const report: Report = {
  startedAt: "2026-01-01T00:00:00Z",
  quick: true,
  machine: {
    cpu: "<script>",
    cores: 2,
    memoryBytes: 2 ** 30,
    loadAverage: 0.1,
    system: "Linux",
    node: "v20",
    compiler: undefined,
    version: "0.1.0",
    commit: undefined,
  },
  cases: [
    {
      name: "x",
      title: "A & B",
      seconds: 1,
      words: ["a < b"],
      tables: [
        {
          title: "T",
          columns: [{ title: "what" }, { title: "time", unit: "ns" }],
          rows: [
            ["one", 1500],
            ["two", undefined],
          ],
        },
      ],
      charts: [chart],
      bars: [{ what: "fast", unit: "ratio", measured: 2, atMost: 1.5, caveat: "one core" }],
    },
  ],
};

describe("the page", () => {
  it("escapes every word", () => {
    const html = renderHtml(report);
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("<c>");
    expect(html).toContain("&lt;script&gt;");
    expect(html).toContain("a &lt; b");
  });

  it("needs nothing from anywhere else", () => {
    expect(renderHtml(report)).not.toMatch(/https?:|src=|@import|url\(/);
  });

  it("says what is missed", () => {
    expect(renderHtml(report)).toContain(">missed<");
    expect(renderCase(report.cases[0]!)).toContain("MISSED  fast: 2.00x, bar at most 1.50x (one core)");
  });

  it("keeps every point of a chart inside its frame", () => {
    const numbers = [...drawChart(chart).matchAll(/c[xy]="([\d.-]+)"/g)].map((match) => Number(match[1]));
    expect(numbers).toHaveLength(4);
    expect(numbers.every((value) => value >= 0 && value <= 720)).toBe(true);
    expect(drawChart({ ...chart, series: [] })).toBe("");
  });
});

describe("the page of one server", () => {
  const times = { n: 3, p10: 1e3, p50: 20e3, p90: 30e3, p99: 90e3 };
  const page = renderServerPage({
    report: {
      server: "gpu<1>:7460",
      endpoint: "tcp://gpu1:7461",
      device: { id: "cuda:0", kind: "cuda", name: '<b>"H100"</b>' },
      allocation: { grant: times, attach: times, firstResult: times, release: times },
      answered: [64, 4096].map((payloadBytes) => ({ payloadBytes, ...times })),
      issueNs: 90,
      throughput: [1, 64, 0].map((batch) => ({ batch, callsPerSecond: 1e6 })),
      copies: [4, 65_536, 2 ** 24].map((bytes) => ({ bytes, toNs: bytes, fromNs: 2 * bytes })),
      work: [],
    },
    job: { stepMs: 25, answersPerStep: 3 },
    words: ["Twenty <us>.", "Good."],
    facts: [["measured from", "a&b"]],
  });

  it("has its figures large, in charts and in tables", () => {
    for (const text of ["<b>20 µs</b>", "<b>1 M/s</b>", "<b>500 MB/s</b>", "What answers cost a step of 25 ms"]) {
      expect(page).toContain(text);
    }
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page.match(/<table>/g)).toHaveLength(4);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("escapes every word, and needs nothing from anywhere else", () => {
    expect(page).toContain("gpu&lt;1&gt;:7460");
    for (const text of ["gpu<1>", '<b>"H100', "<us>", "a&b"]) expect(page).not.toContain(text);
    expect(page).not.toMatch(/https?:|src=|@import|url\(|<script/);
  });
});

it("a table in the terminal lines up", () => {
  const lines = renderTable(report.cases[0]!.tables[0]!).split("\n");
  expect(lines.slice(1)).toEqual(["what    time", "----  ------", "one   1.5 µs", "two        -"]);
});

it("RESULTS.md is what the report says that it names", () => {
  const text = readFileSync("bench/RESULTS.md", "utf8");
  const source = /--render bench\/(\S+)`/.exec(text)?.[1] ?? "";
  const report = JSON.parse(readFileSync(`bench/${source}`, "utf8")) as Report;
  expect(text).toBe(renderMarkdown(report, source));
});
