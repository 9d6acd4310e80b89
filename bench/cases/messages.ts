/** Calls and bytes that need not travel: programs and uploads that the server has already, recorded batches, and copies that let others through. */

import { median } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { describeLink, isDirect, Link, type LinkProperties } from "../link/link.ts";
import type { Cost } from "../measure/message-jobs.ts";
import { Server } from "../measure/server.ts";
import type { Target } from "../measure/target.ts";
import { Worker } from "../measure/worker.ts";
import type { Cell, Table } from "../report/model.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const LAUNCHES = 1000;

interface Stand {
  readonly server: Server;
  readonly worker: Worker;
  readonly context: CaseContext;
}

const direct: LinkProperties = { roundTripMs: 0, gigabitsPerSecond: 0 };
const office: LinkProperties = { roundTripMs: 1, gigabitsPerSecond: 1 };

/** The middle one by time. */
function middle(costs: readonly Cost[]): Cost {
  return { ns: median(costs.map(({ ns }) => ns)), bytes: median(costs.map(({ bytes }) => bytes)) };
}

async function over<T>(link: LinkProperties, { server }: Stand, work: (target: Target) => Promise<T>): Promise<T> {
  if (isDirect(link)) return await work({ ...server.target, transport: "tcp" });
  const emulated = await Link.start(link, [server.grpcPort, server.dataPort]);
  try {
    return await work(server.targetVia(emulated.host));
  } finally {
    await emulated.stop();
  }
}

/** The first job that sends something, and later ones with the same. */
async function firstAndLater(
  turns: number,
  repeats: number,
  work: (name: string) => Promise<Cost>,
): Promise<{ first: Cost; later: Cost }> {
  const firsts: Cost[] = [];
  const laters: Cost[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const name = `${turn}`;
    firsts.push(await work(name));
    for (let repeat = 0; repeat < repeats; repeat++) laters.push(await work(name));
  }
  return { first: middle(firsts), later: middle(laters) };
}

async function measureContent(stand: Stand, link: LinkProperties): Promise<Cell[][]> {
  const { worker, context } = stand;
  const [turns, repeats] = context.quick ? [3, 1] : [5, 3];
  const uploadBytes = (context.quick ? 64 : 256) * MiB;
  return await over(link, stand, async (target) => {
    const rows: Cell[][] = [];
    const add = (what: string, { plain, first, later }: { plain?: Cost; first: Cost; later: Cost }): void => {
      const cells = [plain, first, later].flatMap((cost) => [cost?.ns, cost?.bytes]);
      rows.push([describeLink(link), what, ...cells]);
    };
    for (const byteCount of [32 * KiB, 4 * MiB]) {
      const load = (name: string) =>
        worker.run("loadImage", { target, name: `${link.roundTripMs}-${name}`, byteCount });
      add(`program of ${byteCount < MiB ? "32 KiB" : "4 MiB"}`, await firstAndLater(turns, repeats, load));
      await worker.run("forget", {});
    }
    const once = (cached: boolean) => (name: string) =>
      worker.run("upload", { target, name: `${link.roundTripMs}-${name}`, byteCount: uploadBytes, cached });
    const plain = middle([await once(false)("0"), await once(false)("0"), await once(false)("0")]);
    add(`upload of ${uploadBytes / MiB} MiB`, { plain, ...(await firstAndLater(turns, repeats, once(true))) });
    await worker.run("forget", {});
    return rows;
  });
}

function contentTable(rows: Cell[][]): Table {
  const pair = (title: string) => [{ title, unit: "ns" } as const, { title: "bytes sent", unit: "bytes" } as const];
  return {
    title: "What the server has already",
    columns: [{ title: "link" }, { title: "what" }, ...pair("not cached"), ...pair("first job"), ...pair("later job")],
    rows,
    note: "Each job has a lease of its own. Time until the program is loaded, or the device has the bytes; hashing included. Programs are always cached.",
  };
}

async function measureSteps(stand: Stand, link: LinkProperties): Promise<Cell[]> {
  const turns = stand.context.quick ? 20 : 100;
  const { sent, replayed } = await over(link, stand, (target) =>
    stand.worker.run("messageSteps", { target, launches: LAUNCHES, turns }),
  );
  const [one, other] = [middle(sent), middle(replayed)];
  const ratio = median(sent.map(({ ns }, turn) => ns / replayed[turn]!.ns));
  return [describeLink(link), one.ns, one.bytes, other.ns, other.bytes, ratio];
}

function stepsTable(rows: Cell[][]): Table {
  return {
    title: `A step of ${LAUNCHES} launches and a synchronise`,
    columns: [
      { title: "link" },
      { title: "sent", unit: "ns" },
      { title: "bytes sent", unit: "bytes" },
      { title: "replayed", unit: "ns" },
      { title: "bytes sent", unit: "bytes" },
      { title: "faster", unit: "ratio" },
    ],
    rows,
    note: "A null device: launches do nothing. The replay changes one buffer, which every launch takes.",
  };
}

async function measureBehind(stand: Stand, link: LinkProperties): Promise<Cell[][]> {
  const { quick } = stand.context;
  const byteCount = (isDirect(link) ? 256 : 64) * MiB;
  const turns = quick ? 3 : 5;
  return await over(link, stand, async (target) => {
    const rows: Cell[][] = [];
    for (const overlap of [false, true]) {
      const times = await stand.worker.run("behindUpload", { target, byteCount, turns, overlap });
      const how = overlap ? "overlap" : "ordinary write";
      rows.push([describeLink(link), byteCount, how, median(times.launchNs), median(times.uploadNs)]);
    }
    return rows;
  });
}

function behindTable(rows: Cell[][]): Table {
  return {
    title: "A launch and a synchronise in another stream, right behind an upload",
    columns: [
      { title: "link" },
      { title: "upload", unit: "bytes" },
      { title: "how" },
      { title: "until the launch is done", unit: "ns" },
      { title: "until the upload is done", unit: "ns" },
    ],
    rows,
    note: "From the call of the write on.",
  };
}

async function measureAll(stand: Stand): Promise<CaseOutcome> {
  const links = process.platform === "linux" ? [direct, office] : [direct];
  const content: Cell[][] = [];
  const steps: Cell[][] = [];
  const behind: Cell[][] = [];
  for (const [index, link] of links.entries()) {
    const progress = (part: number, what: string): void =>
      stand.context.progress((index + part / 3) / links.length, `${describeLink(link)}: ${what}`);
    progress(0, "programs and uploads");
    content.push(...(await measureContent(stand, link)));
    progress(1, "recorded batches");
    steps.push(await measureSteps(stand, link));
    progress(2, "copies that let others through");
    behind.push(...(await measureBehind(stand, link)));
  }
  return { tables: [contentTable(content), stepsTable(steps), behindTable(behind)] };
}

export const messagesCase: BenchCase = {
  name: "messages",
  title: "Fewer and smaller messages",
  async run(context): Promise<CaseOutcome> {
    context.progress(0, "starts a server");
    const server = await Server.start({ devices: ["null:1x4GiB"] });
    const worker = await Worker.start();
    try {
      return await measureAll({ server, worker, context });
    } finally {
      await worker.stop();
      await server.stop();
    }
  },
};
