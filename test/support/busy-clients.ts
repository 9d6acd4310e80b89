/** Clients that always have work for their device: they issue kernels ahead of the device, and count those that are done. */
import type { Kernel, KernelArgument, Lease } from "../../client/index.ts";

/** Batches that are on their way at once: on a crowded machine a client may have to wait for long until it can issue more. */
const AHEAD = 100;

export interface BusyOptions {
  readonly lease: Lease;
  readonly kernel: Kernel;
  readonly args: readonly KernelArgument[];
  readonly grid?: number;
  /** Kernels of a batch. */
  readonly batch: number;
}

export class BusyClient {
  done = 0;
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(options: BusyOptions) {
    this.#ended = this.#work(options);
  }

  /** Resolves when the last of its kernels is done; rejects where one fails, as all do that a lease ends with. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  async #work({ lease, kernel, args, grid = 1, batch }: BusyOptions): Promise<void> {
    const [gpu] = lease.devices;
    const pending: Promise<void>[] = [];
    while (!this.#isOver) {
      for (let count = 0; count < batch; count++) kernel.launch({ grid, block: 64 }, args);
      const done = gpu.synchronize().then(() => {
        this.done += batch;
      });
      done.catch(() => {}); // `stop` tells of the first that fails.
      pending.push(done);
      if (pending.length >= AHEAD) await pending.shift();
    }
    await Promise.all(pending);
  }
}

/** What each has of the kernels that are done from now on, once there are so many of them. */
export async function partsOf(clients: readonly BusyClient[], kernels: number): Promise<number[]> {
  const before = clients.map(({ done }) => done);
  const since = (): number[] => clients.map(({ done }, index) => done - before[index]!);
  const sum = (): number => since().reduce((all, one) => all + one, 0);
  while (sum() < kernels) await new Promise((resolve) => setTimeout(resolve, 10));
  const all = sum();
  return since().map((one) => one / all);
}
