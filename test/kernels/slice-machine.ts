/** A KernelMachine over a DeviceSlice in this process: no server, no wire. Frees only as a whole; a case is short. */
import type { DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import type { KernelInfo } from "../../shared/generated/calls.ts";
import type { KernelArgument, KernelBuffer, KernelMachine } from "./machine.ts";

/** Where `openSliceMachine` gets its slice: `open` receives the receiver of printed text. */
export interface SliceMachineOptions {
  readonly arenaBase: number;
  readonly arenaBytes: number;
  readonly isHardware?: boolean;
  readonly open: (onOutput: (text: string) => void) => Promise<DeviceSlice>;
}

const ALIGNMENT_BYTES = 256;

/** At the arena's end: memory on which kernels allocate by themselves, of the size that CUDA gives them. */
const HEAP_BYTES = 8 * 1024 * 1024;

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

const triple = (size: number | readonly [number, number, number]): readonly [number, number, number] =>
  typeof size === "number" ? [size, 1, 1] : size;

/** The packed parameter block of a launch. */
function packArguments(kernel: KernelInfo, args: readonly KernelArgument[]): Uint8Array {
  if (args.length !== kernel.params.length)
    throw new Error(`Kernel [${kernel.name}] takes [${kernel.params.length}] arguments, not [${args.length}].`);
  const block = new Uint8Array(kernel.paramBytes);
  args.forEach((argument, index) => {
    const { offset, size } = kernel.params[index]!;
    const bytes = ArrayBuffer.isView(argument)
      ? bytesOf(argument)
      : bytesOf(BigUint64Array.of(BigInt(argument.address)));
    if (bytes.byteLength !== size)
      throw new Error(`Argument [${index}] of [${kernel.name}] has [${bytes.byteLength}] bytes instead of [${size}].`);
    block.set(bytes, offset);
  });
  return block;
}

export interface SliceMachine extends KernelMachine {
  /** Forgets all buffers, modules and output, so that the next case can have the machine. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export async function openSliceMachine(options: SliceMachineOptions): Promise<SliceMachine> {
  let printed = "";
  const slice = await options.open((text) => {
    printed += text;
  });
  let next = options.arenaBase;
  const modules: DeviceModule[] = [];
  let arenaEnd = options.arenaBase + options.arenaBytes;
  const provideHeap = ({ kernels }: DeviceModule) => {
    const isThere = arenaEnd < options.arenaBase + options.arenaBytes;
    if (isThere || slice.setHeap === undefined || !kernels.some(({ usesHeap }) => usesHeap !== 0)) return;
    arenaEnd -= HEAP_BYTES;
    slice.setHeap(arenaEnd, HEAP_BYTES);
  };
  return {
    arenaBase: options.arenaBase,
    arenaBytes: options.arenaBytes,
    isHardware: options.isHardware === true,
    async load(ptx) {
      const module = await slice.loadModule(ptx.slice());
      modules.push(module);
      provideHeap(module);
      return {
        async launch({ kernel: name, grid, block, sharedBytes = 0, args }) {
          const index = module.kernels.findIndex((kernel) => kernel.name === name);
          if (index < 0) throw new Error(`The module has no kernel [${name}].`);
          const params = packArguments(module.kernels[index]!, args);
          await slice.launch({
            module,
            kernel: index,
            grid: triple(grid),
            block: triple(block),
            sharedBytes,
            params,
            stream: undefined,
          });
        },
      };
    },
    async alloc(byteCount): Promise<KernelBuffer> {
      const address = next;
      next += Math.ceil(Math.max(byteCount, 1) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
      if (next > arenaEnd) throw new Error(`No room for [${byteCount}] bytes.`);
      return { address, byteCount };
    },
    async write(buffer, data) {
      await slice.write(buffer.address, bytesOf(data), undefined);
    },
    async read(buffer, into) {
      await slice.read(buffer.address, bytesOf(into), undefined);
    },
    async synchronize() {
      await slice.synchronize();
    },
    output: () => printed,
    async reset() {
      for (const module of modules.splice(0)) await slice.unloadModule(module);
      next = options.arenaBase;
      printed = "";
    },
    close: () => slice.close(),
  };
}
