/**
 * How much of a device is in use, by which is measured what a library takes that tells it to nobody. By NVML's word of this process alone, since other leases take and give
 * memory of the device at the same time; by what all of them have where it says nothing of this process, as in some containers and on virtual cards.
 */
import type { CudaContext } from "./context.ts";
import { type MonitoredDevice, Nvml } from "./nvml.ts";

/** In bytes. */
interface InUse {
  readonly own: number | undefined;
  readonly all: number;
}

export class MemoryInUse {
  readonly #context: CudaContext;
  readonly #uuid: string;
  /** Looked for when it is first needed: NVML takes its time to start. */
  #monitored: MonitoredDevice | undefined | "unknown" = "unknown";

  constructor(context: CudaContext, uuid: string) {
    this.#context = context;
    this.#uuid = uuid;
  }

  now(): InUse {
    this.#monitored = this.#monitored === "unknown" ? Nvml.showing(this.#uuid) : this.#monitored;
    this.#context.enterToRelease();
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    // A context that is lost tells nothing, and takes nothing any more.
    this.#context.api.cuMemGetInfo_v2(free, total);
    const { nvml, device } = this.#monitored ?? {};
    const processes = device && nvml?.processes(device);
    const own = processes?.find(({ pid }) => pid === process.pid)?.bytes;
    return { own, all: Number(total[0]! - free[0]!) };
  }

  /** Bytes that have been taken since then, less than 0 where some were given back. */
  since(before: InUse): number {
    const after = this.now();
    return before.own === undefined || after.own === undefined ? after.all - before.all : after.own - before.own;
  }
}
