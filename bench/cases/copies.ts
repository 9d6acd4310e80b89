/** Copies to and from the device, from 4 bytes to 1 GiB, beside C sockets that move the same bytes and acknowledge them. */

import { formatNumber } from "../../client/measure/format.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { layouts } from "../measure/placement.ts";
import { barsBeside, type Comparison, compare, Stand, UNPACED_WORDS } from "../measure/stand.ts";
import type { TransportName } from "../measure/target.ts";
import type { Cell, Chart, Series, Table } from "../report/model.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const sizes = [4, 64, KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB, 16 * MiB, 64 * MiB, 256 * MiB, 1024 * MiB];
/** A quick run measures these. */
const quickSizes = [64 * KiB, MiB, 64 * MiB];
const PROMISED_BYTES = 64 * MiB;
/** What a copy there is acknowledged with, and a copy back is asked for with. */
const SMALL_BYTES = 64;

type Direction = "to" | "from";

interface CopyPoint extends Comparison {
  readonly transport: TransportName;
  readonly direction: Direction;
  readonly bytes: number;
  /** Beside what C does over TCP, whatever the transport. */
  readonly tcp: Comparison;
}

function countsOf(bytes: number, quick: boolean): { rounds: number; warmup: number; turns: number } {
  if (bytes <= 64 * KiB) return { rounds: quick ? 150 : 600, warmup: 100, turns: quick ? 3 : 7 };
  if (bytes <= 4 * MiB) return { rounds: quick ? 15 : 40, warmup: 6, turns: quick ? 3 : 7 };
  // The first copies of a turn find the memory of both ends gone cold.
  if (bytes <= 64 * MiB) return { rounds: quick ? 7 : 9, warmup: 3, turns: quick ? 3 : 7 };
  return { rounds: 1, warmup: 1, turns: 3 };
}

async function measureCopy(
  stand: Stand,
  copy: { transport: TransportName; direction: Direction; bytes: number; quick: boolean },
): Promise<CopyPoint> {
  const { transport, direction, bytes, quick } = copy;
  const { turns, ...counts } = countsOf(bytes, quick);
  const floorBytes =
    direction === "to"
      ? { requestBytes: bytes, answerBytes: SMALL_BYTES }
      : { requestBytes: SMALL_BYTES, answerBytes: bytes };
  const subject = () => stand.worker.run("copies", { bytes, direction, ...counts });
  const rounds = { ...floorBytes, ...counts };
  const { unpacedFloor } = stand;
  const tcp = await compare({
    turns,
    subject,
    floor: () => stand.floor("tcp", rounds),
    unpaced: unpacedFloor && (() => unpacedFloor(rounds)),
  });
  const floor = () => stand.floor(transport, rounds);
  const own = transport === "tcp" ? tcp : await compare({ turns, subject, floor });
  return { ...own, transport, direction, bytes, tcp };
}

const label = (transport: TransportName): string => (transport === "tcp" ? "TCP" : "Unix socket");
const rate = (bytes: number, ns: number): number => bytes / (ns / 1e9);

function tableOf(points: readonly CopyPoint[], direction: Direction): Table {
  const rows = points
    .filter((point) => point.direction === direction)
    .map(({ transport, bytes, subject, floor, ratio, tcp }): Cell[] => [
      label(transport),
      bytes,
      subject.p50,
      rate(bytes, subject.p50),
      rate(bytes, floor.p50),
      1 / ratio,
      1 / tcp.ratio,
      rate(bytes, tcp.unpaced.floor.p50),
      1 / tcp.unpaced.ratio,
    ]);
  return {
    title: direction === "to" ? "To the device" : "From the device",
    columns: [
      { title: "transport" },
      { title: "size", unit: "bytes" },
      { title: "time", unit: "ns" },
      { title: "rate", unit: "bytesPerSecond" },
      { title: "C", unit: "bytesPerSecond" },
      { title: "share of C", unit: "ratio" },
      { title: "share of C TCP", unit: "ratio" },
      { title: "C TCP, unpaced", unit: "bytesPerSecond" },
      { title: "share of it", unit: "ratio" },
    ],
    rows,
  };
}

function chartOf(points: readonly CopyPoint[], direction: Direction): Chart {
  const mine = points.filter((point) => point.direction === direction);
  const transports = [...new Set(mine.map(({ transport }) => transport))];
  const series = transports.flatMap((transport): Series[] => {
    const own = mine.filter((point) => point.transport === transport);
    return [
      { name: `Sluice, ${label(transport)}`, points: own.map((p) => [p.bytes, rate(p.bytes, p.subject.p50)]) },
      {
        name: `C, ${label(transport)}`,
        points: own.map((p) => [p.bytes, rate(p.bytes, p.floor.p50)]),
        baseline: true,
      },
    ];
  });
  return {
    title: direction === "to" ? "Copies to the device" : "Copies from the device",
    x: { title: "size of the copy", unit: "bytes", scale: "log" },
    y: { title: "bytes per second", unit: "bytesPerSecond", scale: "log" },
    series,
  };
}

async function measureAll(stand: Stand, context: CaseContext): Promise<CopyPoint[]> {
  const points: CopyPoint[] = [];
  const wanted = context.quick ? quickSizes : sizes;
  const total = stand.transports.length * wanted.length * 2;
  for (const transport of stand.transports) {
    await stand.open(transport);
    for (const bytes of wanted) {
      for (const direction of ["to", "from"] as const) {
        context.progress(points.length / total, `${label(transport)}, ${formatNumber(bytes, "bytes")} ${direction} it`);
        points.push(await measureCopy(stand, { transport, direction, bytes, quick: context.quick }));
      }
    }
    await stand.close();
  }
  return points;
}

export const copiesCase: BenchCase = {
  name: "copies",
  title: "Copies",
  async run(context): Promise<CaseOutcome> {
    const stand = await Stand.start(layouts().at(-1)!);
    try {
      const points = await measureAll(stand, context);
      const bars = points
        .filter(({ bytes }) => bytes === PROMISED_BYTES)
        .flatMap(({ transport, direction, tcp }) =>
          barsBeside({ plain: tcp.ratio, unpaced: tcp.unpaced.ratio }, (ratio, floor) => ({
            what: `Copy of 64 MiB ${direction} the device over ${label(transport)}, share of ${floor}`,
            unit: "ratio",
            measured: 1 / ratio,
            atLeast: transport === "tcp" ? 0.9 : 1.3,
          })),
        );
      return {
        tables: [tableOf(points, "to"), tableOf(points, "from")],
        charts: [chartOf(points, "to"), chartOf(points, "from")],
        bars,
        words: [
          `Client and server are placed ${stand.layout.name}. A copy to the device counts until the device has said that it has it.`,
          UNPACED_WORDS,
        ],
      };
    } finally {
      await stand.stop();
    }
  },
};
