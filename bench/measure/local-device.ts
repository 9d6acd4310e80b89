/**
 * A device used in this process, with the part of the client library's surface that the classifier needs: what the same job
 * costs without any remoting. It packs arguments and calls the device; it batches, checks and sends nothing.
 */
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";

const ALIGNMENT_BYTES = 256;

interface TypedArray<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): A;
}

interface Place {
  readonly address: number;
}

type Argument = number | bigint | Place;
type Dimensions = number | readonly [x: number, y?: number, z?: number];

const three = (value: Dimensions): [number, number, number] =>
  typeof value === "number" ? [value, 1, 1] : [value[0], value[1] ?? 1, value[2] ?? 1];

/** Runs one operation after the other; those that are done at once cost no promise. */
class Work {
  #waiting: (() => void | Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  add(run: () => void | Promise<void>): void {
    if (this.#running !== undefined) this.#waiting.push(run);
    else {
      const pending = run();
      if (pending !== undefined) this.#running = this.#runAll(pending);
    }
  }

  async done(): Promise<void> {
    await this.#running;
  }

  async #runAll(first: Promise<void>): Promise<void> {
    await first;
    for (let run = this.#waiting.shift(); run !== undefined; run = this.#waiting.shift()) await run();
    this.#running = undefined;
  }
}

class LocalBuffer {
  readonly address: number;
  readonly byteLength: number;
  readonly #device: LocalDevice;

  constructor(device: LocalDevice, at: { address: number; byteLength: number }) {
    this.#device = device;
    this.address = at.address;
    this.byteLength = at.byteLength;
  }

  at(offset: number): Place {
    return { address: this.address + offset };
  }

  write(data: ArrayBufferView): void {
    const copy = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    this.#device.work.add(() => this.#device.slice.write(this.address, copy, undefined));
  }

  fill(value: number): void {
    const range = { address: this.address, count: this.byteLength, width: 1 as const, value };
    this.#device.work.add(() => this.#device.slice.fill(range, undefined));
  }

  async read<A>(ctor: TypedArray<A>): Promise<A> {
    const into = new Uint8Array(this.byteLength);
    await this.#device.work.done();
    await this.#device.slice.read(this.address, into, undefined);
    return new ctor(into.buffer);
  }
}

class LocalKernel {
  readonly #device: LocalDevice;
  readonly #module: DeviceModule;
  readonly #index: number;

  constructor(device: LocalDevice, module: DeviceModule, index: number) {
    this.#device = device;
    this.#module = module;
    this.#index = index;
  }

  launch(options: { grid: Dimensions; block: Dimensions }, args: readonly Argument[]): void {
    const info = this.#module.kernels[this.#index]!;
    const view = new DataView(new ArrayBuffer(info.paramBytes));
    for (const [index, { offset, size, type }] of info.params.entries()) {
      const arg = args[index]!;
      const value = typeof arg === "object" ? arg.address : arg;
      if (size === 8) view.setBigUint64(offset, BigInt(value), true);
      else if (type === 3) view.setFloat32(offset, Number(value), true);
      else view.setUint32(offset, Number(value), true);
    }
    const launch = {
      module: this.#module,
      kernel: this.#index,
      grid: three(options.grid),
      block: three(options.block),
      sharedBytes: 0,
      params: new Uint8Array(view.buffer),
      stream: undefined,
    };
    this.#device.work.add(() => this.#device.slice.launch(launch));
  }
}

export class LocalDevice {
  readonly slice: DeviceSlice;
  readonly work = new Work();
  #end = ARENA_BASE;

  private constructor(slice: DeviceSlice) {
    this.slice = slice;
  }

  /** Opens a slice of the cpu device. */
  static async open(arenaBytes: number): Promise<LocalDevice> {
    const [description] = await cpuDriver.discover("");
    if (description === undefined) throw new Error("There is no cpu device.");
    const rest = { arenaBytes, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => {} };
    return new LocalDevice(await cpuDriver.open({ description, ...rest }));
  }

  alloc(byteLength: number): LocalBuffer {
    const address = this.#end;
    this.#end += Math.ceil(byteLength / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return new LocalBuffer(this, { address, byteLength });
  }

  upload(data: ArrayBufferView): LocalBuffer {
    const buffer = this.alloc(data.byteLength);
    buffer.write(data);
    return buffer;
  }

  async load(image: Uint8Array | string): Promise<{ kernel: (name: string) => LocalKernel }> {
    const bytes = typeof image === "string" ? new TextEncoder().encode(image) : image;
    const module = await this.slice.loadModule(bytes);
    return {
      kernel: (name) => {
        const index = module.kernels.findIndex((info) => info.name === name);
        if (index < 0) throw new Error(`The module has no kernel [${name}].`);
        return new LocalKernel(this, module, index);
      },
    };
  }

  async synchronize(): Promise<void> {
    await this.work.done();
    await this.slice.synchronize();
  }

  async close(): Promise<void> {
    await this.slice.close();
  }
}
