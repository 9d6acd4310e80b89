/**
 * The stand on which a case measures: a server with a null device, a worker that holds a lease of it, and the floor, all placed alike.
 * `compare` lets the subject and the floor take turns, so that what else this machine does hits both.
 */
import { join } from "node:path";
import { median, ofRounds, type Summary, summarize } from "../../client/measure/statistics.ts";
import { Floor, type FloorRounds } from "../floor/floor.ts";
import type { Bar } from "../report/model.ts";
import type { Layout } from "./placement.ts";
import { Server } from "./server.ts";
import type { TransportName } from "./target.ts";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.ts";
import { Worker } from "./worker.ts";

/** Room for the largest copy and its neighbours. */
const MEMORY = "4GiB";

/** What tables with both floors say below. */
export const UNPACED_WORDS =
  "C TCP is sent as the system sends by default; unpaced, as Sluice sends within one host. Where the system does not pace, they are the same; elsewhere a bar is held against each.";

export interface Comparison {
  readonly subject: Summary;
  readonly floor: Summary;
  /** Subject over floor, of the medians of each turn; the middle one. */
  readonly ratio: number;
  /** The same of the floor that is not paced; where the system paces nothing, that is the floor. */
  readonly unpaced: { readonly floor: Summary; readonly ratio: number };
}

/** A bar beside C TCP, and the same beside C that is not paced where that is another. */
export function barsBeside(
  ratios: { readonly plain: number; readonly unpaced: number },
  bar: (ratio: number, floor: "C TCP" | "C TCP, unpaced") => Bar,
): Bar[] {
  const { plain, unpaced } = ratios;
  return [bar(plain, "C TCP"), ...(unpaced === plain ? [] : [bar(unpaced, "C TCP, unpaced")])];
}

export class Stand {
  readonly layout: Layout;
  readonly server: Server;
  readonly worker: Worker;
  /** Transports that the server offers. */
  readonly transports: readonly TransportName[];
  readonly #floors: Readonly<Record<TransportName, Floor>>;
  readonly #unpaced: Floor | undefined;
  readonly #folder: TemporaryFolder;

  private constructor(parts: {
    layout: Layout;
    server: Server;
    worker: Worker;
    transports: readonly TransportName[];
    floors: Record<TransportName, Floor>;
    unpaced: Floor | undefined;
    folder: TemporaryFolder;
  }) {
    this.layout = parts.layout;
    this.server = parts.server;
    this.worker = parts.worker;
    this.transports = parts.transports;
    this.#floors = parts.floors;
    this.#unpaced = parts.unpaced;
    this.#folder = parts.folder;
  }

  static async start(layout: Layout): Promise<Stand> {
    const folder = temporaryFolder();
    const server = await Server.start({ devices: ["null:1x16GiB"], cores: layout.server });
    const worker = await Worker.start({ cores: layout.client });
    const floors = {
      tcp: await Floor.start("127.0.0.1:0", layout.server),
      unix: await Floor.start(`unix:${join(folder.path, "floor.sock")}`, layout.server),
    };
    const unpaced = await Floor.startUnpaced(layout.server);
    const transports = await worker.run("transports", { target: server.target });
    return new Stand({ layout, server, worker, transports, floors, unpaced, folder });
  }

  /** Takes a lease over the transport; the one before must be closed. */
  async open(transport: TransportName): Promise<void> {
    await this.worker.run("open", { target: { ...this.server.target, transport }, memory: MEMORY });
  }

  async close(): Promise<void> {
    await this.worker.run("close", {});
  }

  /** Nanoseconds of rounds of the floor, placed as the worker is. */
  floor(transport: TransportName, options: FloorRounds): Promise<number[]> {
    return this.#floors[transport].rounds({ ...options, cores: this.layout.client });
  }

  /** The same over TCP that is not paced; undefined where `floor` is that. */
  get unpacedFloor(): ((options: FloorRounds) => Promise<number[]>) | undefined {
    const floor = this.#unpaced;
    return floor && ((options) => floor.rounds({ ...options, cores: this.layout.client }));
  }

  async stop(): Promise<void> {
    await this.worker.stop();
    await this.server.stop();
    await this.#unpaced?.stop();
    await Promise.all(Object.values(this.#floors).map((floor) => floor.stop()));
    this.#folder[Symbol.dispose]();
  }
}

/** Lets measurements take turns: the subject, the floor, and one that is not paced, if there is one beside it. All give nanoseconds per thing done. */
export async function compare(options: {
  readonly turns: number;
  readonly subject: () => Promise<number[]>;
  readonly floor: () => Promise<number[]>;
  readonly unpaced?: (() => Promise<number[]>) | undefined;
}): Promise<Comparison> {
  const subjects: Summary[] = [];
  const floors: Summary[] = [];
  const unpacedFloors: Summary[] = [];
  for (let turn = 0; turn < options.turns; turn++) {
    floors.push(summarize(await options.floor()));
    subjects.push(summarize(await options.subject()));
    if (options.unpaced !== undefined) unpacedFloors.push(summarize(await options.unpaced()));
  }
  const over = (those: readonly Summary[]) => ({
    floor: ofRounds(those),
    ratio: median(subjects.map((subject, turn) => subject.p50 / those[turn]!.p50)),
  });
  const plain = over(floors);
  const unpaced = options.unpaced === undefined ? plain : over(unpacedFloors);
  return { subject: ofRounds(subjects), ...plain, unpaced };
}
