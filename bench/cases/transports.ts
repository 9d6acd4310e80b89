/**
 * What each transport costs: a 64-byte answered call, and large copies both ways, over all four, beside the same over plain C TCP in
 * the same turns. So what TLS costs, and what it costs to have nothing but the gRPC port, stands beside what is free.
 */
import { generate } from "selfsigned";
import type { TransportKind } from "../../client/transport/open.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { Floor } from "../floor/floor.ts";
import { type Layout, layouts } from "../measure/placement.ts";
import { Server } from "../measure/server.ts";
import { type Comparison, compare } from "../measure/stand.ts";
import type { Target } from "../measure/target.ts";
import { Worker } from "../measure/worker.ts";
import type { Cell, Table } from "../report/model.ts";

const MiB = 1024 * 1024;
/** A quick run copies less: gRPC carries some 100 MB/s. */
const copyBytes = ({ quick }: { readonly quick: boolean }): number => (quick ? 16 : 64) * MiB;
const SMALL_BYTES = 64;

const kinds = ["unix", "tcp", "tls", "grpc"] as const satisfies readonly TransportKind[];

interface Figures {
  readonly kind: TransportKind;
  readonly call: Comparison;
  readonly to: Comparison;
  readonly from: Comparison;
}

/** Servers without and with TLS, alike otherwise, and a worker and C TCP beside them. */
class Stand {
  readonly worker: Worker;
  readonly #servers: readonly [plain: Server, secure: Server];
  readonly #targets: readonly [plain: Target, secure: Target];
  readonly #floor: Floor;
  readonly #layout: Layout;

  private constructor(parts: { worker: Worker; servers: [Server, Server]; ca: string; floor: Floor; layout: Layout }) {
    this.worker = parts.worker;
    this.#servers = parts.servers;
    this.#floor = parts.floor;
    this.#layout = parts.layout;
    const [plain, secure] = parts.servers;
    this.#targets = [plain.target, { ...secure.target, ca: parts.ca }];
  }

  static async start(layout: Layout): Promise<Stand> {
    const { cert, private: key } = await generate([{ name: "commonName", value: "Sluice bench" }], {
      keyType: "ec",
      algorithm: "sha256",
      extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
    });
    const options = { devices: ["null:1x1GiB"], cores: layout.server };
    const servers: [Server, Server] = [
      await Server.start(options),
      await Server.start({ ...options, tls: { cert, key } }),
    ];
    const worker = await Worker.start({ cores: layout.client });
    const floor = await Floor.start("127.0.0.1:0", layout.server);
    return new Stand({ worker, servers, ca: cert, floor, layout });
  }

  async open(kind: TransportKind): Promise<void> {
    const target = this.#targets[kind === "tls" ? 1 : 0];
    await this.worker.run("open", { target: { ...target, transport: kind }, memory: "512MiB" });
  }

  /** Beside C TCP, whatever the transport. */
  compare(bytes: { requestBytes: number; answerBytes: number }, subject: () => Promise<number[]>, quick: boolean) {
    const isCopy = bytes.requestBytes + bytes.answerBytes > MiB;
    const counts = isCopy ? { rounds: quick ? 1 : 3, warmup: 1 } : { rounds: 500, warmup: 300 };
    const floor = () => this.#floor.rounds({ ...bytes, ...counts, cores: this.#layout.client });
    return compare({ turns: quick ? 3 : 7, subject, floor });
  }

  async stop(): Promise<void> {
    await this.worker.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.#floor.stop();
  }
}

async function measure(stand: Stand, kind: TransportKind, quick: boolean): Promise<Figures> {
  await stand.open(kind);
  const bytes = copyBytes({ quick });
  const { worker } = stand;
  const counts = { rounds: quick ? 1 : 3, warmup: 1 };
  const copy = (direction: "to" | "from") => () => worker.run("copies", { bytes, direction, ...counts });
  const roundTrip = () => worker.run("roundTrips", { payloadBytes: SMALL_BYTES, rounds: 500, warmup: 300 });
  const small = { requestBytes: SMALL_BYTES, answerBytes: SMALL_BYTES };
  const call = await stand.compare(small, roundTrip, quick);
  const to = await stand.compare({ requestBytes: bytes, answerBytes: SMALL_BYTES }, copy("to"), quick);
  const from = await stand.compare({ requestBytes: SMALL_BYTES, answerBytes: bytes }, copy("from"), quick);
  await worker.run("close", {});
  return { kind, call, to, from };
}

function tableOf(figures: readonly Figures[], bytes: number): Table {
  const rows = figures.map(({ kind, call, to, from }): Cell[] => [
    kind,
    call.subject.p50,
    call.subject.p99,
    call.ratio,
    bytes / (to.subject.p50 / 1e9),
    1 / to.ratio,
    bytes / (from.subject.p50 / 1e9),
    1 / from.ratio,
  ]);
  return {
    title: "Each transport, beside C TCP",
    columns: [
      { title: "transport" },
      { title: "call of 64 B, p50", unit: "ns" },
      { title: "p99", unit: "ns" },
      { title: "of C TCP", unit: "ratio" },
      { title: `${bytes / MiB} MiB to the device`, unit: "bytesPerSecond" },
      { title: "share of C TCP", unit: "ratio" },
      { title: `${bytes / MiB} MiB from it`, unit: "bytesPerSecond" },
      { title: "share of C TCP ", unit: "ratio" },
    ],
    rows,
  };
}

export const transportsCase: BenchCase = {
  name: "transports",
  title: "Transports",
  async run(context: CaseContext): Promise<CaseOutcome> {
    const layout = layouts().at(-1)!;
    const stand = await Stand.start(layout);
    try {
      const figures: Figures[] = [];
      for (const kind of kinds) {
        context.progress(figures.length / kinds.length, kind);
        figures.push(await measure(stand, kind, context.quick));
      }
      const words = [
        `Client and server are placed ${layout.name}. TLS and gRPC end in the daemon, which carries the bytes on to the executor.`,
      ];
      return { tables: [tableOf(figures, copyBytes(context))], words };
    } finally {
      await stand.stop();
    }
  },
};
