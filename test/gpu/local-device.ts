/**
 * A card used in this process, with the part of the client library's surface that the classifier needs: what the same job costs without any
 * remoting. It packs arguments and calls the slice; it batches, checks and sends nothing.
 */
import type { Device, MultiplyOptions } from "../../client/index.ts";
import type { DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";

const ALIGNMENT_BYTES = 256;

interface Place {
  readonly address: number;
}
type Argument = number | bigint | Place;
type Dimensions = number | readonly [x: number, y?: number, z?: number];

const three = (value: Dimensions): [number, number, number] =>
  typeof value === "number" ? [value, 1, 1] : [value[0], value[1] ?? 1, value[2] ?? 1];

function pack(params: DeviceModule["kernels"][number], args: readonly Argument[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(params.paramBytes));
  params.params.forEach(({ offset, size, type }, index) => {
    const arg = args[index]!;
    const value = typeof arg === "object" ? arg.address : arg;
    if (size === 8) view.setBigUint64(offset, BigInt(value), true);
    else if (type === 3) view.setFloat32(offset, Number(value), true);
    else view.setUint32(offset, Number(value), true);
  });
  return new Uint8Array(view.buffer);
}

/** The slice as the classifier sees a device. Writes are small and before the measuring, so they are awaited by `synchronize`. */
export function localDevice(slice: DeviceSlice): Device {
  let next = slice.arenaBase ?? ARENA_BASE;
  /** Writes, which follow each other, and a product that cannot be computed: told by the next wait. */
  const writes: Promise<void>[] = [];
  let failed: Promise<void> | undefined;
  const alloc = (byteLength: number) => {
    const address = next;
    next += Math.ceil(byteLength / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return { address, byteLength, at: (offset: number): Place => ({ address: address + offset }) };
  };
  const local = {
    alloc,
    upload(data: ArrayBufferView) {
      const buffer = alloc(data.byteLength);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      writes.push((writes.at(-1) ?? Promise.resolve()).then(() => slice.write(buffer.address, bytes, undefined)));
      return buffer;
    },
    async load(image: string) {
      const module = await slice.loadModule(new TextEncoder().encode(image));
      return {
        kernel(name: string) {
          const kernel = module.kernels.findIndex((info) => info.name === name);
          return {
            launch(options: { grid: Dimensions; block: Dimensions }, args: readonly Argument[]): void {
              const params = pack(module.kernels[kernel]!, args);
              const shape = { grid: three(options.grid), block: three(options.block), sharedBytes: 0 };
              // Queued at once, so there is nothing to await.
              void slice.launch({ module, kernel, ...shape, params, stream: undefined });
            },
          };
        },
      };
    },
    multiply({ m, n, k, a, b, c, type = "f32" }: MultiplyOptions): void {
      const operand = ({ address }: Place, rowStride: number) => ({ address, rowStride, batchStride: 0 });
      const first = { ...operand(a, k), transposed: false };
      const second = { ...operand(b, n), transposed: false };
      const product = { type, m, n, k, batchCount: 1, a: first, b: second, c: operand(c, n), alpha: 1, beta: 0 };
      // Queued at once, so there is nothing to await but what it cannot do.
      Promise.resolve(slice.multiply!(product, undefined)).catch((error: unknown) => {
        failed ??= Promise.reject(error);
        failed.catch(() => undefined);
      });
    },
    async synchronize(): Promise<void> {
      await Promise.all(writes.splice(0));
      await failed;
      await slice.synchronize();
    },
  };
  // It has what the classifier uses of a device, and TypeScript knows classes with private fields by name only.
  return local as unknown as Device;
}
