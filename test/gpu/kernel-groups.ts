/** Groups that run the kernel fixtures and the families of instructions: in processes of their own, and through a server and the client library. */
import { availableParallelism } from "node:os";
import { examplePtx } from "../../client/examples/package-files.ts";
import { connect, type Pool } from "../../client/index.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { type ClientMachine, openClientMachine } from "../kernels/client-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { fixture } from "../kernels/support.ts";
import { leakRow, leftOver, usedBytes } from "./card-memory.ts";
import { bounded, CASE_LIMIT_MS, type Card, merged, messageOf, noteOf, openServer, say } from "./group-tools.ts";
import { capabilityOf, capabilityText, type Row, repliesOf, rowsOf } from "./job.ts";

const MiB = 1024 * 1024;
const CASES_LIMIT_MS = 240_000;
const SWEEP_LIMIT_MS = 90_000;
/** A kernel case takes a second, beside the context that its process may have to make; one that hangs must leave time to the others. */
const KERNEL_CASE_LIMIT_MS = 20_000;
/** So many cases in a row that fail for want of a server say no more than the first. */
const LOST_CASES_MAX = 5;

/** What a process of a case has in the host's memory: node, and the driver's half of a context. */
const PROCESS_BYTES = 512 * MiB;

/** Cases at a time: most of their time is the driver's compiler's, on a core of its own; each has a context on the card. */
export function workersFor(
  { roomBytes, device }: Pick<Card, "roomBytes" | "device">,
  { cores, hostBytes }: { readonly cores: number; readonly hostBytes: number },
): number {
  const places = [6, cores / 2, roomBytes / (CASE_ARENA_BYTES + device.overheadBytes), hostBytes / PROCESS_BYTES];
  return Math.max(1, Math.floor(Math.min(...places)));
}

const workersHere = (card: Card): number =>
  workersFor(card, { cores: availableParallelism(), hostBytes: process.availableMemory() });

const machineOptions = { memoryBytes: CASE_ARENA_BYTES, isHardware: true };

/** Kernel fixtures by their positions, in as few processes as the faults allow. */
async function* runCases({ device }: Card, positions: readonly number[]): AsyncGenerator<Row> {
  const group = "kernels";
  const waiting = new Set(positions);
  while (waiting.size > 0) {
    const job = { kind: "cases", device: device.id, positions: [...waiting] } as const;
    const replies = repliesOf(job, { limitMs: CASES_LIMIT_MS, silenceMs: KERNEL_CASE_LIMIT_MS });
    let next = await replies.next();
    for (; next.done !== true; next = await replies.next()) {
      if (next.value.kind !== "case") continue;
      const { position, error, milliseconds: value } = next.value;
      waiting.delete(position);
      const { name } = kernelCases[position]!;
      yield { group, name, ok: error === undefined, value, unit: "ms", isCase: true, ...noteOf(error) };
      if (waiting.size % 10 === 0)
        say(`kernels: ${waiting.size} of ${positions.length} are left to one of the workers`);
    }
    const [position] = waiting;
    if (next.value === undefined || position === undefined) continue;
    waiting.delete(position);
    yield { group, name: kernelCases[position]!.name, ok: false, isCase: true, ...noteOf(next.value) };
  }
}

/** What the text of a case is for, as major * 10 + minor; an example has its own place. */
function targetOf(ptx: string): number {
  const text = ptx === "mnist" ? examplePtx(ptx) : Buffer.from(fixture(ptx)).toString();
  return Number(/^\.target sm_(\d+)/m.exec(text)![1]);
}

/** The cases for a card, by their positions, and a row for each reason why others are left out. */
export function casesFor(group: string, capability: number): { positions: number[]; leftOut: Row[] } {
  const reasons = kernelCases.map(({ ptx, notOnHardware }) => {
    const target = targetOf(ptx);
    if (target > capability)
      return `they need compute capability ${capabilityText(target)}, and this card has ${capabilityText(capability)}`;
    return notOnHardware;
  });
  const leftOut = [...new Set(reasons)].flatMap((note) => {
    const value = reasons.filter((reason) => reason === note).length;
    if (note === undefined) return [];
    return [{ group, name: "cases that are not for this card", value, unit: "cases", isSkipped: true, note }];
  });
  return { positions: [...kernelCases.keys()].filter((position) => reasons[position] === undefined), leftOut };
}

/** Every kernel fixture. */
export async function* checkKernels(card: Card): AsyncGenerator<Row> {
  const group = "kernels";
  const { device } = card;
  const before = await usedBytes(device);
  const failure = yield* rowsOf({ kind: "fatbin", device: device.id }, CASE_LIMIT_MS);
  if (failure !== undefined) yield { group, name: "images come to their end", ok: false, ...noteOf(failure) };
  const { positions, leftOut } = casesFor(group, capabilityOf(device));
  const workers = workersHere(card);
  const shares = Array.from({ length: workers }, (_, worker) => positions.filter((each) => each % workers === worker));
  yield* merged(shares.map((share) => runCases(card, share)));
  yield* leftOut;
  yield leakRow(group, device, await leftOver(card, before));
}

/** Every form of an instruction over thousands of operands. */
export async function* checkArithmetic({ device, sizes }: Card): AsyncGenerator<Row> {
  const failure = yield* rowsOf({ kind: "sweep", device: device.id, sizes }, SWEEP_LIMIT_MS);
  if (failure !== undefined)
    yield { group: "arithmetic", name: "the families come to their end", ok: false, ...noteOf(failure) };
}

/** A worker's borrowed machine, which cases share as long as they leave it whole: most of a case's time is a new lease's. */
class SharedMachine {
  readonly #pool: Pool;
  #machine: ClientMachine | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** What fails, as text; undefined where nothing does. */
  async run(kernelCase: KernelCase): Promise<string | undefined> {
    let error: string | undefined;
    try {
      this.#machine ??= await bounded(KERNEL_CASE_LIMIT_MS, openClientMachine(this.#pool, machineOptions));
      await bounded(KERNEL_CASE_LIMIT_MS, kernelCase.run(this.#machine));
    } catch (caught) {
      error = messageOf(caught);
    }
    if (error === undefined && kernelCase.spoils !== true) {
      this.#machine?.reset();
      return undefined;
    }
    // What the case says of itself comes before what giving back says.
    return this.close().then(
      () => error,
      (caught: unknown) => error ?? `The lease is not given back: ${messageOf(caught)}`,
    );
  }

  async close(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    if (machine !== undefined) await bounded(KERNEL_CASE_LIMIT_MS, machine.close());
  }
}

/** Every kernel fixture once more, through a real server and the client library. */
export async function* checkRemoteKernels(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "remote kernels";
  const before = await usedBytes(device);
  {
    const workers = workersHere(card);
    const spares = ["--spare-executors", String(workers)];
    await using server = await openServer("--device", device.id, "--kernel-timeout", "15s", ...spares);
    await using pool = await connect({ server: server.grpc });
    // The server's bound on kernels counts here, shorter than that of a case, and for which no case waits.
    const { positions, leftOut } = casesFor(group, capabilityOf(device));
    const cases = positions
      .map((position) => kernelCases[position]!)
      .filter((each) => each.kernelTimeoutMs === undefined);
    // Those that spoil their lease come last, so that as many as can be share one.
    const waiting = [
      ...cases.filter(({ spoils }) => spoils !== true),
      ...cases.filter(({ spoils }) => spoils === true),
    ];
    let lost = 0;
    const worker = async function* (): AsyncGenerator<Row> {
      const machine = new SharedMachine(pool);
      for (let next = waiting.shift(); next !== undefined && lost < LOST_CASES_MAX; next = waiting.shift()) {
        const error = await machine.run(next);
        lost = error === undefined ? 0 : lost + 1;
        yield { group, name: next.name, ok: error === undefined, isCase: true, ...noteOf(error) };
        if (waiting.length % 10 === 0) say(`remote kernels: ${waiting.length} of ${cases.length} are left`);
      }
      await machine.close();
    };
    yield* merged(Array.from({ length: workers }, worker));
    yield* leftOut;
    const lostCases = { name: "cases that are left out", value: waiting.length, unit: "cases", isSkipped: true };
    if (waiting.length > 0) yield { group, ...lostCases, note: "those before all fail" };
  }
  yield leakRow(group, device, await leftOver(card, before));
}
