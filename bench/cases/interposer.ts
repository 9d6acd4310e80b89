/**
 * What an unmodified CUDA program pays: `bench/interposer/measure.c` runs on the interposer's libraries over a null device, and takes
 * turns with the plain C baseline. Needs a C compiler and make; says so where there is none.
 */
import { spawnSync } from "node:child_process";
import { allocateRequest } from "../../client/allocate-options.ts";
import type { Control, LeaseKey } from "../../client/control.ts";
import { formatLeaseKeys, LEASE_VARIABLE } from "../../client/environment.ts";
import { Holder } from "../../client/holder.ts";
import { median } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { Floor } from "../floor/floor.ts";
import { type Built, buildMeasure } from "../interposer/build.ts";
import { type Layout, layouts } from "../measure/placement.ts";
import { Server } from "../measure/server.ts";
import { barsBeside, compare, UNPACED_WORDS } from "../measure/stand.ts";
import { openControl, type TransportName } from "../measure/target.ts";
import { placed, startTool, type Tool } from "../measure/tool.ts";
import type { Bar, Cell, Table } from "../report/model.ts";

const COPY_BYTES = 16 * 1024 * 1024;
const MEMORY = "1GiB";

/** The server starts its next spare executor in this time; what is measured is the start of a program whose lease finds one. */
const PAUSE_MS = 500;

interface Figures {
  readonly layout: Layout;
  readonly transport: TransportName;
  readonly answeredNs: number;
  readonly floorNs: number;
  readonly answered: number;
  /** The same beside C that is not paced. */
  readonly unpaced: { readonly floorNs: number; readonly answered: number };
  readonly issueNs: number;
  readonly perSecond: number;
  readonly pairNs: number;
  readonly copies: readonly Copies[];
  /** From the start of a program to its end behind one answered call, above one that does nothing. */
  readonly startMs: number;
}

/** The rate of one kind of copy, and its shares of plain C's: as the system sends, and not paced. */
interface Copies {
  readonly name: string;
  readonly perSecond: number;
  readonly share: number;
  readonly unpacedShare: number;
}

interface Held {
  readonly key: LeaseKey;
  readonly holder: Holder;
  readonly endpoint: string;
}

/** Programs under leases of their own, one after the other, on a server of its own. */
class Stand {
  readonly #server: Server;
  readonly #control: Control;
  readonly #floor: Floor;
  readonly #unpaced: Floor | undefined;
  readonly #layout: Layout;
  readonly #transport: TransportName;
  readonly #libraries: string;
  #held: Held | undefined;

  private constructor(parts: {
    server: Server;
    floor: Floor;
    unpaced: Floor | undefined;
    layout: Layout;
    transport: TransportName;
    libraries: string;
  }) {
    this.#server = parts.server;
    this.#control = openControl(parts.server.target);
    this.#floor = parts.floor;
    this.#unpaced = parts.unpaced;
    this.#layout = parts.layout;
    this.#transport = parts.transport;
    this.#libraries = parts.libraries;
  }

  static async start(layout: Layout, transport: TransportName, libraries: string): Promise<Stand> {
    const server = await Server.start({ devices: ["null:1x16GiB"], cores: layout.server });
    const floor = await Floor.start("127.0.0.1:0", layout.server);
    const unpaced = await Floor.startUnpaced(layout.server);
    return new Stand({ server, floor, unpaced, layout, transport, libraries });
  }

  /** Takes a lease for the next program; `isReady` once the server has had time to make an executor ready. */
  async renew({ isReady }: { readonly isReady: boolean }): Promise<void> {
    await this.#release();
    if (isReady) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    const control = this.#control;
    const { lease, secret, connection } = await control.allocate(allocateRequest({ memory: MEMORY }), {});
    if (lease === null || connection === null) throw new Error("The server grants without a lease.");
    const endpoint = connection.dataEndpoints.find((each) => each.startsWith(`${this.#transport}:`));
    if (endpoint === undefined) throw new Error(`The server offers no data endpoint of the kind [${this.#transport}].`);
    const key = { leaseId: lease.id, secret };
    const holder = new Holder({ control, key, connection, onNotice: () => {}, onEnded: () => {} });
    this.#held = { key, holder, endpoint };
  }

  async #release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    held?.holder.stop();
    if (held !== undefined) await this.#control.release(held.key);
  }

  get env(): NodeJS.ProcessEnv {
    const { key, endpoint } = this.#held!;
    const lease = { [LEASE_VARIABLE]: formatLeaseKeys([key]), SLUICE_DATA: endpoint };
    return { ...process.env, ...lease, LD_LIBRARY_PATH: this.#libraries };
  }

  program(command: readonly string[]): Promise<Tool> {
    return startTool(command, { cores: this.#layout.client, lines: 1, env: this.env });
  }

  /** Milliseconds of a whole process. */
  processMs(command: readonly string[]): number {
    const [file, ...args] = placed(command, this.#layout.client);
    const began = performance.now();
    const { status, stderr } = spawnSync(file, args, { env: this.env, encoding: "utf8" });
    if (status !== 0) throw new Error(`The program [${command.join(" ")}] fails [${status}]:\n${stderr}`);
    return performance.now() - began;
  }

  /** What `compare` lets take turns with a subject. */
  floors(bytes: { readonly requestBytes: number; readonly answerBytes: number }, rounds: number) {
    const options = { ...bytes, rounds, warmup: rounds >> 2, cores: this.#layout.client };
    const unpaced = this.#unpaced;
    return { floor: () => this.#floor.rounds(options), unpaced: unpaced && (() => unpaced.rounds(options)) };
  }

  async stop(): Promise<void> {
    await this.#release();
    this.#control.close();
    await this.#floor.stop();
    await this.#unpaced?.stop();
    await this.#server.stop();
  }
}

const numbersIn = (line: string): number[] => line.trim().split(/\s+/).map(Number);

async function measureCopies(stand: Stand, tool: Tool, turns: number): Promise<Figures["copies"]> {
  // Through shared memory a copy takes a millisecond, and a few of them are over between two interruptions.
  const rounds = 25;
  const rate = (ns: number): number => (COPY_BYTES / ns) * 1e9;
  const copies: Copies[] = [];
  for (const what of ["in", "out"]) {
    const towards = what === "in";
    const times = async (name: string): Promise<number[]> => numbersIn(await tool.ask(`${name} ${rounds}`));
    // Of each turn: the asynchronous copies beside the others.
    const asynchronous: number[] = [];
    const gains: number[] = [];
    const { subject, ratio, unpaced } = await compare({
      turns,
      subject: async () => {
        const samples = await times(what);
        asynchronous.push(median(await times(`${what}Async`)));
        gains.push(median(samples) / asynchronous.at(-1)!);
        return samples;
      },
      ...stand.floors({ requestBytes: towards ? COPY_BYTES : 64, answerBytes: towards ? 64 : COPY_BYTES }, rounds),
    });
    const sharesOf = (gain: number) => ({
      share: gain / ratio,
      unpacedShare: gain / unpaced.ratio,
    });
    copies.push({ name: what, perSecond: rate(subject.p50), ...sharesOf(1) });
    copies.push({ name: `${what}Async`, perSecond: rate(median(asynchronous)), ...sharesOf(median(gains)) });
  }
  return copies;
}

/** Milliseconds that a first answered call adds to a process, the median of several turns, each with a lease of its own. */
async function measureStart(stand: Stand, program: string, turns: number): Promise<number> {
  const added: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    await stand.renew({ isReady: true });
    const nothing = stand.processMs([program, "nothing"]);
    added.push(stand.processMs([program, "first"]) - nothing);
  }
  return median(added);
}

interface Wanted extends Built {
  readonly layout: Layout;
  readonly transport: TransportName;
  readonly quick: boolean;
}

async function measure({ layout, transport, program, libraries, quick }: Wanted): Promise<Figures> {
  const stand = await Stand.start(layout, transport, libraries);
  const turns = quick ? 3 : 11;
  try {
    const startMs = await measureStart(stand, program, turns);
    await stand.renew({ isReady: false });
    const tool = await stand.program([program, "serve"]);
    // As many as in the case `latency`: before, the executor's code is still being compiled, on the same core.
    await tool.ask("answered 12000");
    const answered = await compare({
      turns,
      subject: async () => numbersIn(await tool.ask("answered 1000")),
      ...stand.floors({ requestBytes: 64, answerBytes: 64 }, 1000),
    });
    const each = async (what: string, rounds: number): Promise<number> =>
      median(numbersIn(await tool.ask(`${what} ${rounds}`)));
    const issueNs = await each("issue", quick ? 30 : 100);
    const throughNs = await each("through", quick ? 5 : 11);
    const pairNs = await each("pair", quick ? 10 : 30);
    const copies = await measureCopies(stand, tool, quick ? 3 : 7);
    await tool.stop();
    return {
      layout,
      transport,
      answeredNs: answered.subject.p50,
      floorNs: answered.floor.p50,
      answered: answered.ratio,
      unpaced: { floorNs: answered.unpaced.floor.p50, answered: answered.unpaced.ratio },
      issueNs,
      perSecond: 1e9 / throughNs,
      pairNs,
      copies,
      startMs,
    };
  } finally {
    await stand.stop();
  }
}

function tablesOf(all: readonly Figures[]): Table[] {
  const where = ({ layout, transport }: Figures): Cell[] => [layout.name, transport === "tcp" ? "TCP" : "Unix socket"];
  const calls: Table = {
    title: "Calls of an unmodified CUDA program",
    columns: [
      { title: "cores" },
      { title: "transport" },
      { title: "answered", unit: "ns" },
      { title: "C TCP", unit: "ns" },
      { title: "against C TCP", unit: "ratio" },
      { title: "C TCP, unpaced", unit: "ns" },
      { title: "against it", unit: "ratio" },
      { title: "issue of a launch", unit: "ns" },
      { title: "launches", unit: "perSecond" },
      { title: "malloc + free", unit: "ns" },
      { title: "to first answer", unit: "ns" },
    ],
    rows: all.map((figures) => [
      ...where(figures),
      figures.answeredNs,
      figures.floorNs,
      figures.answered,
      figures.unpaced.floorNs,
      figures.unpaced.answered,
      figures.issueNs,
      figures.perSecond,
      figures.pairNs,
      figures.startMs * 1e6,
    ]),
    note: "The last column is what a process takes to start, make one answered call and end, above one that does nothing, each with a new lease and a spare executor that is ready.",
  };
  const copies: Table = {
    title: "Copies of 16 MiB by an unmodified CUDA program",
    columns: [
      { title: "cores" },
      { title: "transport" },
      { title: "copy" },
      { title: "rate", unit: "bytesPerSecond" },
      { title: "share of C TCP", unit: "ratio" },
      { title: "of C TCP, unpaced", unit: "ratio" },
    ],
    rows: all.flatMap((figures) =>
      figures.copies.map(({ name, perSecond, share, unpacedShare }): Cell[] => [
        ...where(figures),
        copyNames[name],
        perSecond,
        share,
        unpacedShare,
      ]),
    ),
  };
  return [calls, copies];
}

const copyNames: Readonly<Record<string, string>> = {
  in: "to the device",
  inAsync: "to the device, asynchronous",
  out: "from the device",
  outAsync: "from the device, asynchronous",
};

function barsOf(figures: Figures): Bar[] {
  const { layout, transport, answered, unpaced, issueNs, perSecond, pairNs, copies, startMs, floorNs } = figures;
  const shareOf = (name: string): number => copies.find((copy) => copy.name === name)!.share;
  const at = (what: string): string => `${what}, ${transport === "tcp" ? "TCP" : "Unix socket"}, ${layout.name}`;
  return [
    ...barsBeside({ plain: answered, unpaced: unpaced.answered }, (measured, floor) => ({
      what: at(`Answered call against ${floor}`),
      unit: "ratio",
      measured,
      atMost: 1.15,
    })),
    { what: at("Issue of a launch"), unit: "ns", measured: issueNs, atMost: 300 },
    { what: at("Launches end to end"), unit: "perSecond", measured: perSecond, atLeast: 1.5e6 },
    { what: at("malloc + free against a round trip of C TCP"), unit: "ratio", measured: pairNs / floorNs, atMost: 0.5 },
    ...copies
      .filter(({ name }) => !name.endsWith("Async"))
      .flatMap(({ name, share, unpacedShare }) =>
        barsBeside({ plain: share, unpaced: unpacedShare }, (measured, floor) => ({
          what: at(`Copy of 16 MiB ${copyNames[name]}, share of ${floor}`),
          unit: "ratio",
          measured,
          atLeast: 0.9,
        })),
      ),
    ...["in", "out"].map(
      (name): Bar => ({
        what: at(`Copy ${copyNames[name]}, asynchronous against synchronous`),
        unit: "ratio",
        measured: shareOf(`${name}Async`) / shareOf(name),
        atLeast: 0.9,
        caveat: "equal rates differ by as much between turns",
      }),
    ),
    { what: at("Start to first answer, above the program's own"), unit: "ns", measured: startMs * 1e6, atMost: 10e6 },
  ];
}

async function measureAll(context: CaseContext, built: Built): Promise<Figures[]> {
  const all: Figures[] = [];
  const wanted = layouts().flatMap((layout) => (["tcp", "unix"] as const).map((transport) => ({ layout, transport })));
  for (const [index, { layout, transport }] of wanted.entries()) {
    context.progress(index / wanted.length, `${layout.name}, ${transport}`);
    all.push(await measure({ layout, transport, quick: context.quick, ...built }));
  }
  return all;
}

export const interposerCase: BenchCase = {
  name: "interposer",
  title: "Unmodified CUDA programs",
  async run(context): Promise<CaseOutcome> {
    const built = buildMeasure();
    if (built === undefined) return { words: ["Not measured: the interposer needs make and a C compiler on Linux."] };
    const all = await measureAll(context, built);
    const words = [
      "`sluice run` takes the Unix socket where the program runs on the server's host, and TCP elsewhere.",
      UNPACED_WORDS,
    ];
    return { words, tables: tablesOf(all), bars: all.flatMap(barsOf) };
  },
};
