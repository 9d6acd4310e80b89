/**
 * The workers of one slice, seen from the slice: started when first needed, woken for a launch, and ended from outside when a
 * kernel does not end. They never keep the process alive.
 */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { type Control, Word } from "./control.ts";
import type { WorkerBirth, WorkerMessage, WorkerSetup } from "./messages.ts";
import { workerCode } from "./worker-code.ts";

/** A launch is waited for this long with the thread blocked: most are over by then, and waking through the event loop costs more. */
const BLOCKING_WAIT_MS = 0.2;

/** The longest time that a timer takes. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export type Outcome = "done" | "timeout" | "closed" | "died";

interface Member {
  readonly worker: Worker;
  readonly port: MessagePort;
}

/** A worker that has read its code and waits to be told for which slice. */
interface Spare {
  readonly worker: Worker;
  readonly bell: Int32Array<SharedArrayBuffer>;
}

const spares: Spare[] = [];

function hire(): Spare {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WorkerBirth = { bell };
  // A URL is of a file, and a string is code.
  const options = { workerData, stdin: false, eval: typeof workerCode === "string", execArgv: [] };
  const worker = new Worker(workerCode, options);
  worker.unref();
  return { worker, bell };
}

/** Starts workers before there is a slice for them, which takes as long as a hundred launches. Returns at once. */
export function keepSpareWorkers(count: number): void {
  while (spares.length < count) {
    const spare = hire();
    const forget = () => {
      if (spares.includes(spare)) spares.splice(spares.indexOf(spare), 1);
    };
    spare.worker.once("error", forget).once("exit", forget);
    spares.push(spare);
  }
}

export class WorkerPool {
  readonly #control: Control;
  readonly #setup: Omit<WorkerSetup, "worker" | "port">;
  readonly #members: Member[] = [];
  /** What every worker must know, also one that starts later. */
  readonly #kernels = new Map<number, WorkerMessage>();
  /** Textures and surfaces likewise. */
  readonly #images = new Map<number, WorkerMessage>();
  #launch = 0;
  #interrupt: ((outcome: Outcome) => void) | undefined;
  #ended: Outcome | undefined;
  #cause: unknown;

  readonly #onDeath: () => void;

  /** `onDeath` hears when a worker ends by itself, also between launches. */
  constructor(control: Control, setup: Omit<WorkerSetup, "worker" | "port">, onDeath: () => void) {
    this.#control = control;
    this.#setup = setup;
    this.#onDeath = onDeath;
  }

  /** What a worker died of, once one has. */
  get cause(): unknown {
    return this.#cause;
  }

  addKernel(message: Extract<WorkerMessage, { kind: "kernel" }>): void {
    this.#kernels.set(message.id, message);
    for (const { port } of this.#members) port.postMessage(message);
  }

  dropKernel(id: number): void {
    if (!this.#kernels.delete(id)) return;
    for (const { port } of this.#members) port.postMessage({ kind: "drop", id });
  }

  addImage(message: Extract<WorkerMessage, { kind: "texture" | "surface" }>): void {
    this.#images.set(message.object, message);
    for (const { port } of this.#members) port.postMessage(message);
  }

  dropImage(object: number): void {
    if (!this.#images.delete(object)) return;
    for (const { port } of this.#members) port.postMessage({ kind: "drop-image", object });
  }

  /** Starts workers until there are `count`, and those that wait as spares. Returns at once; they catch up by themselves. */
  start(count: number): void {
    while (spares.length > 0 && this.#members.length < this.#setup.layout.workers && this.#ended === undefined)
      this.#startOne(this.#members.length);
    while (this.#members.length < count && this.#ended === undefined) this.#startOne(this.#members.length);
  }

  /** Runs the launch that the control words describe on `count` workers. Returns at once where it is over soon. */
  run(count: number, timeoutMs: number): Outcome | Promise<Outcome> {
    if (this.#ended !== undefined) return this.#ended;
    const { words } = this.#control;
    this.start(count);
    const launch = ++this.#launch;
    words[Word.WANTED_WORKERS] = count;
    words[Word.FINISHED_WORKERS] = 0;
    words[Word.NEXT_CHUNK] = 0;
    const before = Atomics.load(words, Word.DONE);
    for (let worker = 0; worker < count; worker++) {
      Atomics.store(words, Word.WAKE + worker, launch);
      Atomics.notify(words, Word.WAKE + worker);
    }
    // A wake-up says little: the last launch's may come late, when its result has been seen already. Only the word counts.
    const end = performance.now() + BLOCKING_WAIT_MS;
    for (let left = BLOCKING_WAIT_MS; left > 0; left = end - performance.now()) {
      Atomics.wait(words, Word.DONE, before, left);
      if (Atomics.load(words, Word.DONE) !== before) return "done";
    }
    return this.#wait(before, timeoutMs);
  }

  /** Ends all workers, whatever they do. A launch under way ends with `outcome`. */
  async end(outcome: Outcome): Promise<void> {
    this.#ended ??= outcome;
    this.#interrupt?.(outcome);
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }

  async #wait(before: number, timeoutMs: number): Promise<Outcome> {
    // The timer also keeps the process alive while a kernel runs; without a bound it only does that.
    const limit = timeoutMs > 0 ? Math.min(timeoutMs, TIMER_MS_MAX) : TIMER_MS_MAX;
    let timer: NodeJS.Timeout | undefined;
    const interrupted = new Promise<Outcome>((resolve) => {
      this.#interrupt = resolve;
      timer = setTimeout(() => resolve("timeout"), limit);
    });
    try {
      return await Promise.race([interrupted, this.#finished(before)]);
    } finally {
      clearTimeout(timer);
      this.#interrupt = undefined;
    }
  }

  /** Resolves when the word has changed, and not merely when somebody is woken. */
  async #finished(before: number): Promise<Outcome> {
    const { words } = this.#control;
    while (Atomics.load(words, Word.DONE) === before) {
      const woken = Atomics.waitAsync(words, Word.DONE, before);
      if (woken.async) await woken.value;
    }
    return "done";
  }

  #startOne(index: number): void {
    const { port1, port2 } = new MessageChannel();
    const { worker, bell } = spares.shift() ?? hire();
    worker.postMessage({ ...this.#setup, worker: index, port: port2 } satisfies WorkerSetup, [port2]);
    Atomics.store(bell, 0, 1);
    Atomics.notify(bell, 0);
    port1.unref();
    const died = () => {
      if (this.#ended !== undefined) return;
      this.#ended = "died";
      this.#interrupt?.("died");
      this.#onDeath();
    };
    worker.on("error", (error) => {
      this.#cause ??= error;
      died();
    });
    worker.on("exit", died);
    for (const message of [...this.#kernels.values(), ...this.#images.values()]) port1.postMessage(message);
    this.#members.push({ worker, port: port1 });
  }
}
