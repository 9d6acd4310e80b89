/**
 * What the check asks of its child processes. All work on a card is done by children: a fault ends a CUDA process for good, and some of what is
 * checked is that a killed one leaves nothing behind.
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { packageFolder } from "../../client/package-folder.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { withinTime } from "../support/time-left.ts";

export type Job =
  /** Runs kernel cases by their positions, until one loses the slice. */
  | { readonly kind: "cases"; readonly device: string; readonly positions: readonly number[] }
  /** Runs the families of instructions over tables of operands, there and on the cpu device. */
  | { readonly kind: "sweep"; readonly device: string; readonly sizes: Sizes }
  /** Loads a binary image and compares it with its text. */
  | { readonly kind: "fatbin"; readonly device: string }
  /** Makes the driver's calls one by one and tells what each returns. */
  | { readonly kind: "ladder"; readonly device: string }
  /** Tells how much memory is free beside a context. */
  | { readonly kind: "room"; readonly device: string }
  /** Tells what a context takes of the card. */
  | { readonly kind: "overhead"; readonly device: string }
  /** Measures rates and times. */
  | { readonly kind: "measure"; readonly device: string; readonly sizes: Sizes }
  /** Measures work on a slice borrowed from a server against the same in its own process. */
  | { readonly kind: "remote"; readonly device: string; readonly server: string; readonly sizes: Sizes }
  /** Fills a slice with a pattern, says so, and keeps the device busy until it is killed. */
  | { readonly kind: "hold"; readonly device: string; readonly bytes: number }
  /** Borrows a slice from a server, fills it, says so, and keeps the device busy until it is killed. */
  | { readonly kind: "borrow"; readonly device: string; readonly server: string; readonly bytes: number }
  /** Opens a slice and tells whether all of it is zero. */
  | { readonly kind: "zero"; readonly device: string; readonly bytes: number }
  /** Adds vectors and checks every sum until it is told to stop. */
  | { readonly kind: "steady"; readonly device: string }
  /** Runs a kernel that stores outside its slice. */
  | { readonly kind: "fault"; readonly device: string }
  /** Runs a kernel that stores into ordinary memory of its own process. */
  | { readonly kind: "host"; readonly device: string };

/** How much is measured. */
export interface Sizes {
  /** Of the card, free: less is too little for two contexts and what they hold. */
  readonly roomBytes: number;
  /** Of a slice that is opened and read. */
  readonly sliceBytes: number;
  /** Of a slice that is filled, at most. */
  readonly filledBytesMax: number;
  /** Of the families of instructions one in so many. */
  readonly families: number;
  readonly launches: number;
  /** Launches that are each waited for. */
  readonly waits: number;
  readonly copyBytes: number;
  /** Rows and columns of the matrices that are multiplied; a power of two. */
  readonly product: number;
  /** How many of them. */
  readonly products: number;
  readonly trainingSteps: number;
  /** What the timed program in CUDA C is told: 1 for a CPU. */
  readonly program: number;
  /** Leases that are opened one after the other. */
  readonly openings: number;
}

export const fullSizes: Sizes = {
  roomBytes: 2 * 2 ** 30,
  sliceBytes: 64 * 2 ** 20,
  filledBytesMax: 8 * 2 ** 30,
  families: 1,
  launches: 20_000,
  waits: 1000,
  copyBytes: 64 * 2 ** 20,
  product: 4096,
  products: 200,
  trainingSteps: 500,
  openings: 5,
  program: 16,
};
/** For seeing that everything runs; its figures mean nothing. */
export const quickSizes: Sizes = {
  roomBytes: 512 * 2 ** 20,
  sliceBytes: 2 * 2 ** 20,
  filledBytesMax: 16 * 2 ** 20,
  families: 8,
  launches: 200,
  waits: 20,
  copyBytes: 2 * 2 ** 20,
  product: 64,
  products: 2,
  trainingSteps: 2,
  openings: 1,
  program: 1,
};

/** One line of the table. */
export interface Row {
  readonly group: string;
  readonly name: string;
  /** Absent for a figure without a bar. */
  readonly ok?: boolean;
  readonly value?: number;
  readonly unit?: string;
  /** The same done without Sluice, and the value relative to it; above 1 is better than that. */
  readonly local?: number;
  readonly ratio?: number;
  /** The least that the ratio may be; `ok` tells whether it is met. */
  readonly bar?: number;
  readonly note?: string;
  /** One of very many of its kind: the table counts those that pass. */
  readonly isCase?: boolean;
  /** It is not done, and the note says why: no fault of the card's, nor of Sluice's. */
  readonly isSkipped?: boolean;
  /** Without it nothing else can be: when it fails, the groups behind it are not run. */
  readonly isNeeded?: boolean;
}

/** Hears what a job begins, so that one that never ends has a name. */
export type Begin = (what: string) => void;

/** The rows of each part: one that throws says so in a row, and the next begins all the same. */
export async function* eachPart(
  group: string,
  begin: Begin,
  parts: Readonly<Record<string, () => AsyncGenerator<Row>>>,
): AsyncGenerator<Row> {
  for (const [name, part] of Object.entries(parts)) {
    begin(name);
    try {
      yield* part();
    } catch (error) {
      const note = error instanceof Error ? error.message : String(error);
      yield { group, name: `${name} come to their end`, ok: false, note };
    }
  }
}

/** As everybody writes it: 75 is 7.5. */
export const capabilityText = (capability: number): string => `${Math.floor(capability / 10)}.${capability % 10}`;

/** A device's, as one number. */
export const capabilityOf = ({ capabilityMajor, capabilityMinor }: DeviceDescription): number =>
  capabilityMajor * 10 + capabilityMinor;

export type Reply =
  | { readonly kind: "row"; readonly row: Row }
  | { readonly kind: "case"; readonly position: number; readonly error?: string; readonly milliseconds: number }
  | { readonly kind: "number"; readonly value: number | undefined }
  | { readonly kind: "ready" }
  /** What it begins now, so that one that never ends has a name. */
  | { readonly kind: "doing"; readonly what: string }
  | { readonly kind: "failed"; readonly error: string }
  /** The job has come to its end; the process dies by SIGKILL in any case. */
  | { readonly kind: "done" };

export interface Child {
  readonly process: ChildProcess;
  readonly replies: Reply[];
  /** Resolves with the exit status when the child is gone. */
  readonly ended: Promise<string>;
}

/** Ends one process, with all that it has started. */
type Kill = () => void;
const running = new Set<Kill>();
export function killChildren(): void {
  for (const kill of running) kill();
}

/** From now on `killChildren` kills this one too; returns what forgets it. */
export function killedWithAll(kill: Kill): () => void {
  running.add(kill);
  return () => running.delete(kill);
}

/** Starts a child on a job. It says nothing on standard output; what it writes to standard error is shown. */
export function start(job: Job): Child {
  const child = fork(join(packageFolder, "dist/test/gpu/worker.js"), [JSON.stringify(job)], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const forget = killedWithAll(() => child.kill("SIGKILL"));
  const replies: Reply[] = [];
  child.on("message", (reply) => replies.push(reply as Reply));
  const exit = new Promise<string>((resolve) => {
    child.on("exit", (code, signal) => {
      forget();
      resolve(signal ?? `exit ${code}`);
    });
  });
  // Its last words may be read after its death is known.
  const silence = new Promise<void>((resolve) => {
    child.on("disconnect", resolve);
  });
  return { process: child, replies, ended: Promise.all([exit, silence]).then(([status]) => status) };
}

export interface Finished {
  readonly replies: readonly Reply[];
  /** Why the job did not come to its end; undefined when it did. */
  readonly failure: string | undefined;
}

interface JobBounds {
  readonly limitMs: number;
  /** Default: as long as it may run. */
  readonly silenceMs?: number;
}

interface Followed {
  readonly replies: readonly Reply[];
  /** Resolves with the next reply that comes. */
  readonly arrival: () => Promise<unknown>;
  readonly finished: Promise<Finished>;
}

/** Starts a job and kills it at its bounds. */
function follow(job: Job, { limitMs, silenceMs = limitMs }: JobBounds): Followed {
  const child = start(job);
  const limit = withinTime(limitMs);
  let late: string | undefined;
  const killAt = (afterMs: number, why: string): NodeJS.Timeout =>
    setTimeout(() => {
      late ??= why;
      child.process.kill("SIGKILL");
    }, afterMs);
  const timer = killAt(limit, `SIGKILL, at its limit of ${limit} ms`);
  const silence = killAt(silenceMs, `SIGKILL, after ${silenceMs} ms without a word`);
  child.process.on("message", () => silence.refresh());
  const finished = child.ended.then((status) => {
    clearTimeout(timer);
    clearTimeout(silence);
    return { replies: child.replies, failure: failureOf(child.replies, late ?? status) };
  });
  const arrival = (): Promise<unknown> => new Promise((resolve) => child.process.once("message", resolve));
  return { replies: child.replies, arrival, finished };
}

/** Runs a job to its end, or kills it after `limitMs`, or when it has said nothing for `silenceMs`; default: for as long as it may run. */
export const runJob = (job: Job, limitMs: number, silenceMs = limitMs): Promise<Finished> =>
  follow(job, { limitMs, silenceMs }).finished;

/** Runs a job as `runJob` does and gives its replies as they come; tells at the end why it failed, or undefined. */
export async function* repliesOf(job: Job, bounds: JobBounds): AsyncGenerator<Reply, string | undefined> {
  const { finished, replies, arrival } = follow(job, bounds);
  let isOver = false;
  void finished.then(() => {
    isOver = true;
  });
  for (let told = 0; ; ) {
    const reply = replies[told];
    if (reply !== undefined) {
      told++;
      yield reply;
    } else if (isOver) return (await finished).failure;
    else await Promise.race([arrival(), finished]);
  }
}

/** The rows among them. */
export async function* rowsOf(job: Job, limitMs: number): AsyncGenerator<Row, string | undefined> {
  const replies = repliesOf(job, { limitMs });
  let next = await replies.next();
  for (; next.done !== true; next = await replies.next()) if (next.value.kind === "row") yield next.value.row;
  return next.value;
}

/** What a child says of its failure, or how it died without a word; undefined when its job is done. */
export function failureOf(replies: readonly Reply[], status: string): string | undefined {
  for (const reply of replies) {
    if (reply.kind === "failed") return reply.error;
    if (reply.kind === "done") return undefined;
  }
  const doing = replies.findLast((reply) => reply.kind === "doing");
  return `the process ended with ${status}${doing === undefined ? "" : `, at [${doing.what}]`}`;
}

/** Waits until the child says that it is ready; false when it ends before, or does not in time. */
export async function becomesReady(child: Child, limitMs: number): Promise<boolean> {
  const until = performance.now() + withinTime(limitMs);
  let ended = false;
  void child.ended.then(() => {
    ended = true;
  });
  while (performance.now() < until && !ended) {
    if (child.replies.some(({ kind }) => kind === "ready")) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child.replies.some(({ kind }) => kind === "ready");
}
