/**
 * The modules of one slice: loaded as long as there is room for them beside it, in the lease's allowance, and then by what is free at the slice's end.
 * What of both is left for calls that have no answer, which would end the session, no module takes.
 */
import type { DeviceModule, LoadOptions } from "../device.ts";
import type { CudaContext } from "./context.ts";
import { type CudaModule, loadCudaModule, ModuleTooLarge } from "./module.ts";
import type { SliceSize } from "./slice-size.ts";

export interface ModulesOptions {
  readonly size: SliceSize;
  /** The device's, as major * 10 + minor. */
  readonly capability: number;
  /** As SliceOptions. */
  readonly longWork: <T>(work: () => T) => T;
  /** What calls without an answer may need of the allowance yet. */
  readonly owedBytes: () => number;
}

export class CudaModules {
  readonly #context: CudaContext;
  readonly #options: ModulesOptions;
  /** With what the slice has given for each when it was loaded, in bytes. */
  readonly #loaded = new Map<CudaModule, number>();

  constructor(context: CudaContext, options: ModulesOptions) {
    this.#context = context;
    this.#options = options;
  }

  load(image: Uint8Array, { text, leavesEnd = false }: LoadOptions): CudaModule | Promise<CudaModule> {
    const { size, owedBytes } = this.#options;
    const { outside } = size.local;
    const owed = owedBytes();
    try {
      return this.#load({ image, text }, outside.leftBytes - owed);
    } catch (error) {
      if (!(error instanceof ModuleTooLarge) || leavesEnd) throw error;
      const load = (isThere: boolean): CudaModule =>
        this.#load({ image, text }, outside.leftBytes - (isThere ? owed : 0));
      return size.loadModule(error.byteCount + owed, load).then(({ module, givenBytes }) => {
        this.#loaded.set(module, givenBytes);
        return module;
      });
    }
  }

  /**
   * The device is idle, since the driver frees the code at once. What the slice has given stays for the next module, unless the session does not know of
   * this one: a driver may be slow to give back what it has freed.
   */
  async unload(unloaded: DeviceModule, isUntold: boolean): Promise<void> {
    const module = unloaded as CudaModule;
    const { size } = this.#options;
    const givenBytes = this.#loaded.get(module) ?? 0;
    this.#loaded.delete(module);
    this.#context.enter();
    this.#context.check(this.#context.api.cuModuleUnload(module.handle), "unload a module");
    size.local.outside.give(module.outsideBytes);
    if (isUntold) await size.takeFromModules(givenBytes);
  }

  /** The device is idle, or its context lost. */
  release(): void {
    for (const { handle } of this.#loaded.keys()) this.#context.api.cuModuleUnload(handle);
  }

  #load(program: { image: Uint8Array; text: Uint8Array | undefined }, outsideBytesMax: number): CudaModule {
    const { size, capability, longWork } = this.#options;
    this.#context.enter();
    const module = longWork(() => loadCudaModule(this.#context, program, { outsideBytesMax, capability }));
    size.local.outside.take(module.outsideBytes);
    this.#loaded.set(module, 0);
    return module;
  }
}
