/** A KernelMachine over the client library: the same cases against a real server, with any kind of device behind it. */
import type { DeviceBuffer, KernelArgument as LibraryArgument, Module, Pool } from "../../client/index.ts";
import type { KernelArgument, KernelBuffer, KernelMachine } from "./machine.ts";

export interface ClientMachine extends KernelMachine {
  /** Forgets all buffers, modules and output, so that the next case can have the machine. */
  reset(): void;
  close(): Promise<void>;
}

/** Borrows a share of `memoryBytes`; `close` gives it back. The server's own bound on kernels counts, not the case's. */
export async function openClientMachine(
  pool: Pool,
  { memoryBytes, isHardware = false }: { memoryBytes: number; isHardware?: boolean },
): Promise<ClientMachine> {
  let printed = "";
  const lease = await pool.allocate({
    memory: memoryBytes,
    wait: "30s",
    onOutput: (text) => {
      printed += text;
    },
  });
  const [gpu] = lease.devices;
  // Nothing stands before the first buffer, so the arena begins where it does.
  const first = gpu.alloc(1);
  const arenaBase = first.address;
  first.free();
  const buffers = new Map<KernelBuffer, DeviceBuffer>();
  const modules: Module[] = [];
  const bufferOf = (buffer: KernelBuffer): DeviceBuffer => {
    const found = buffers.get(buffer);
    if (found === undefined) throw new Error(`The buffer at [${buffer.address}] is another machine's.`);
    return found;
  };
  const passed = (argument: KernelArgument): LibraryArgument =>
    ArrayBuffer.isView(argument) ? argument : bufferOf(argument);
  return {
    arenaBase,
    isHardware,
    arenaBytes: gpu.memoryInfo().totalBytes,
    async load(ptx) {
      const module = await gpu.load(ptx);
      modules.push(module);
      return {
        async launch({ kernel, grid, block, sharedBytes = 0, args }) {
          module.kernel(kernel).launch({ grid, block, sharedBytes }, args.map(passed));
        },
      };
    },
    async alloc(byteCount) {
      const buffer = gpu.alloc(Math.max(byteCount, 1));
      const handle = { address: buffer.address, byteCount };
      buffers.set(handle, buffer);
      return handle;
    },
    async write(buffer, data) {
      if (data.byteLength > 0) bufferOf(buffer).write(data);
    },
    async read(buffer, into) {
      const bytes = await bufferOf(buffer).read(Uint8Array, { length: into.byteLength });
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
    },
    synchronize: () => gpu.synchronize(),
    output: () => printed,
    reset() {
      for (const module of modules.splice(0)) module.unload();
      for (const buffer of buffers.values()) buffer.free();
      buffers.clear();
      printed = "";
    },
    async close() {
      // A case that ends in a kernel's failure leaves a session in error, which the case has looked at already.
      await lease[Symbol.asyncDispose]().catch(() => {});
    },
  };
}
