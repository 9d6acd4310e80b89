/**
 * The stand on which a case measures: a server with a null device, a worker that holds a lease of it, and the floor, all placed alike.
 * `compare` lets the subject and the floor take turns, so that what else this machine does hits both.
 */
import { join } from "node:path";
import { median, ofRounds, type Summary, summarize } from "../../client/measure/statistics.ts";
import { Floor, type FloorRounds } from "../floor/floor.ts";
import type { Layout } from "./placement.ts";
import { Server } from "./server.ts";
import type { TransportName } from "./target.ts";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.ts";
import { Worker } from "./worker.ts";

/** Room for the largest copy and its neighbours. */
const MEMORY = "4GiB";

export interface Comparison {
  readonly subject: Summary;
  readonly floor: Summary;
  /** Subject over floor, of the medians of each turn; the middle one. */
  readonly ratio: number;
}

export class Stand {
  readonly layout: Layout;
  readonly server: Server;
  readonly worker: Worker;
  /** Transports that the server offers. */
  readonly transports: readonly TransportName[];
  readonly #floors: Readonly<Record<TransportName, Floor>>;
  readonly #folder: TemporaryFolder;

  private constructor(parts: {
    layout: Layout;
    server: Server;
    worker: Worker;
    transports: readonly TransportName[];
    floors: Record<TransportName, Floor>;
    folder: TemporaryFolder;
  }) {
    this.layout = parts.layout;
    this.server = parts.server;
    this.worker = parts.worker;
    this.transports = parts.transports;
    this.#floors = parts.floors;
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
    const transports = await worker.run("transports", { target: server.target });
    return new Stand({ layout, server, worker, transports, floors, folder });
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

  async stop(): Promise<void> {
    await this.worker.stop();
    await this.server.stop();
    await Promise.all(Object.values(this.#floors).map((floor) => floor.stop()));
    this.#folder[Symbol.dispose]();
  }
}

/** Lets two measurements take turns. Both give nanoseconds per thing done. */
export async function compare(options: {
  readonly turns: number;
  readonly subject: () => Promise<number[]>;
  readonly floor: () => Promise<number[]>;
}): Promise<Comparison> {
  const subjects: Summary[] = [];
  const floors: Summary[] = [];
  for (let turn = 0; turn < options.turns; turn++) {
    floors.push(summarize(await options.floor()));
    subjects.push(summarize(await options.subject()));
  }
  const ratio = median(subjects.map((subject, turn) => subject.p50 / floors[turn]!.p50));
  return { subject: ofRounds(subjects), floor: ofRounds(floors), ratio };
}
