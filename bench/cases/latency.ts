/** What one answered call costs: by placement, transport and payload, beside a ping-pong of C sockets. */
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { acrossCores, type Layout, layouts, oneCore } from "../measure/placement.ts";
import { type Comparison, compare, Stand } from "../measure/stand.ts";
import type { TransportName } from "../measure/target.ts";
import type { Bar, Cell, Table } from "../report/model.ts";

/** Bytes that the answer carries; 0 is a synchronise. */
const payloads = [0, 64, 4096, 65_536, 1_048_576];
/** A quick run measures these. */
const quickPayloads = [64, 65_536];
/** The call that the promises are about. */
const PROMISED_BYTES = 64;
/** A ping-pong has at least this in both directions. */
const FLOOR_BYTES = 64;

interface Measured extends Comparison {
  readonly transport: TransportName;
  readonly payloadBytes: number;
  /** The C baseline over TCP, which the promise about Unix sockets is against too. */
  readonly overTcp: number;
}

/** V8 has compiled what a call runs, at both ends, after some ten thousand of them: before that they cost a third more. */
const WARMUP_CALLS = 20_000;

function sizes(payloadBytes: number, quick: boolean): { rounds: number; warmup: number } {
  const many = payloadBytes <= 4096 ? 3000 : payloadBytes <= 65_536 ? 800 : 60;
  const rounds = quick ? Math.ceil(many / 5) : many;
  // While the other side has its turn, the processor's caches forget this one.
  return { rounds, warmup: rounds };
}

async function measure(
  stand: Stand,
  call: { transport: TransportName; payloadBytes: number; quick: boolean },
): Promise<Measured> {
  const { transport, payloadBytes, quick } = call;
  const counts = sizes(payloadBytes, quick);
  const bytes = { requestBytes: FLOOR_BYTES, answerBytes: Math.max(FLOOR_BYTES, payloadBytes) };
  const subject = () => stand.worker.run("roundTrips", { payloadBytes, ...counts });
  const turns = quick ? 3 : 11;
  // A promise is against TCP whatever the transport, so both stand in the same turns.
  const comparison = await compare({ turns, subject, floor: () => stand.floor("tcp", { ...bytes, ...counts }) });
  if (transport === "tcp") return { ...comparison, transport, payloadBytes, overTcp: comparison.ratio };
  const own = await compare({ turns, subject, floor: () => stand.floor(transport, { ...bytes, ...counts }) });
  return { ...own, transport, payloadBytes, overTcp: comparison.ratio };
}

const nameOf = (payloadBytes: number): string => (payloadBytes === 0 ? "synchronise" : "read");

function tableOf(layout: Layout, measured: readonly Measured[]): Table {
  const rows = measured.map(({ transport, payloadBytes, subject, floor, ratio, overTcp }): Cell[] => [
    transport === "tcp" ? "TCP" : "Unix socket",
    nameOf(payloadBytes),
    payloadBytes,
    subject.n,
    subject.p50,
    subject.p99,
    subject.p90 - subject.p10,
    floor.p50,
    floor.p99,
    ratio,
    overTcp,
  ]);
  return {
    title: `Answered calls, ${layout.name}`,
    columns: [
      { title: "transport" },
      { title: "call" },
      { title: "payload", unit: "bytes" },
      { title: "n", unit: "count" },
      { title: "p50", unit: "ns" },
      { title: "p99", unit: "ns" },
      { title: "p10 to p90", unit: "ns" },
      { title: "C p50", unit: "ns" },
      { title: "C p99", unit: "ns" },
      { title: "against C", unit: "ratio" },
      { title: "against C TCP", unit: "ratio" },
    ],
    rows,
  };
}

function barsOf(layout: Layout, measured: readonly Measured[]): Bar[] {
  const tcpMax = layout === oneCore ? 1.6 : 1.4;
  return measured
    .filter(({ payloadBytes }) => payloadBytes === PROMISED_BYTES)
    .map(({ transport, overTcp }) => ({
      what: `Answered call of ${PROMISED_BYTES} B over ${transport === "tcp" ? "TCP" : "a Unix socket"}, ${layout.name}, p50 against C TCP`,
      unit: "ratio",
      measured: overTcp,
      atMost: transport === "tcp" ? tcpMax : 1.1,
    }));
}

async function measureLayout(
  layout: Layout,
  options: { context: CaseContext; from: number; share: number },
): Promise<Measured[]> {
  const { context, from, share } = options;
  const stand = await Stand.start(layout);
  const measured: Measured[] = [];
  try {
    const wanted = context.quick ? quickPayloads : payloads;
    const steps = stand.transports.length * wanted.length;
    for (const transport of stand.transports) {
      await stand.open(transport);
      await stand.worker.run("roundTrips", { payloadBytes: PROMISED_BYTES, rounds: 1, warmup: WARMUP_CALLS });
      for (const payloadBytes of wanted) {
        const what = `${layout.name}, ${transport}, ${payloadBytes} B`;
        context.progress(from + share * (measured.length / steps), what);
        measured.push(await measure(stand, { transport, payloadBytes, quick: context.quick }));
      }
      await stand.close();
    }
  } finally {
    await stand.stop();
  }
  return measured;
}

export const latencyCase: BenchCase = {
  name: "latency",
  title: "Round trips",
  async run(context): Promise<CaseOutcome> {
    const tables: Table[] = [];
    const bars: Bar[] = [];
    const words: string[] = [];
    const all = layouts();
    for (const [index, layout] of all.entries()) {
      const measured = await measureLayout(layout, { context, from: index / all.length, share: 1 / all.length });
      tables.push(tableOf(layout, measured));
      bars.push(...barsOf(layout, measured));
      const call = measured.find(({ transport, payloadBytes }) => transport === "tcp" && payloadBytes === 64);
      if (call !== undefined && layout !== acrossCores) {
        const added = ((call.subject.p50 - call.floor.p50) / 1000).toFixed(0);
        words.push(`Over TCP and ${layout.name}, Sluice adds ${added} µs to a round trip of C sockets.`);
      }
    }
    return { tables, bars, words };
  },
};
