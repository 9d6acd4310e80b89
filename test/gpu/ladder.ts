/**
 * The driver, step by step, by the calls that the cuda device makes and in their order: what each returns and how long it takes. Where a card does not
 * do what is expected, this says at which step, and with which of the driver's words, without a second visit to the machine.
 */
import { accessDescription, allocationProperties } from "../../server/device/cuda/arena.ts";
import { ArrayFlag, describeArray, describeCopy } from "../../server/device/cuda/array.ts";
import { readAttribute } from "../../server/device/cuda/attributes.ts";
import { CUresult, DeviceAttributeNumber, LaunchParam, LIMIT_STACK_SIZE } from "../../server/device/cuda/constants.ts";
import { listOrdinals } from "../../server/device/cuda/discovery.ts";
import { type CudaLibrary, errorName, loadCuda } from "../../server/device/cuda/library.ts";
import { addressOf, textAt } from "../../server/device/cuda/symbols.ts";
import { describeArrayResource, describeMemory } from "../../server/device/cuda/texture.ts";
import { trialKernel } from "../../server/device/cuda/trial.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { StagingFile } from "../../server/executor/staging-file.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { largeVariable, localKernel } from "../kernels/memory-kernels.ts";
import { fixture } from "../kernels/support.ts";
import type { Row } from "./job.ts";
import { loadManyKernels } from "./kernel-loading.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const group = "driver";

/** Hears of every step before and after it: one that never returns is known too. */
export interface Listener {
  readonly begin: (name: string) => void;
  readonly tell: (row: Row) => void;
}

export class Ladder {
  readonly library: CudaLibrary;
  readonly rows: Row[] = [];
  readonly #begin: (name: string) => void;
  readonly #tell: (row: Row) => void;

  constructor(library: CudaLibrary, { begin, tell }: Listener) {
    this.library = library;
    this.#begin = begin;
    this.#tell = tell;
  }

  add(row: Row): void {
    this.rows.push(row);
    this.#tell(row);
  }

  /** One call. What fails is told and the next step is tried all the same. */
  step(name: string, call: () => number, note?: () => string): boolean {
    this.#begin(name);
    const started = performance.now();
    const result = call();
    const value = performance.now() - started;
    const said = result === 0 ? note?.() : `${result} ${errorName(this.library.api, result)}`;
    // What a platform has not, the device does without, or other groups fail for it.
    const verdict = result === CUresult.NOT_SUPPORTED ? { isSkipped: true } : { ok: result === 0 };
    this.add({ group, name, ...verdict, value, unit: "ms", isCase: true, ...(said ? { note: said } : {}) });
    return result === 0;
  }

  /** A fact that is neither good nor bad. */
  fact(name: string, fact: { value?: number; unit?: string; note?: string }): void {
    this.add({ group, name, ...fact });
  }

  gigabytesPerSecond(name: string, byteCount: number): void {
    const { value = 0 } = this.rows.at(-1)!;
    this.fact(name, { unit: "GB/s", value: byteCount / value / 1e6 });
  }
}

interface Space {
  readonly address: number;
  readonly byteCount: number;
  readonly handle: bigint;
}

/** Addresses, memory behind them, and access to it. */
function mapMemory(ladder: Ladder, device: number, byteCount: number): Space | undefined {
  const { api } = ladder.library;
  const [granularity, address, handle] = [new BigUint64Array(1), new BigUint64Array(1), new BigUint64Array(1)];
  const properties = allocationProperties(device);
  const told = (): string => `${granularity[0]} bytes`;
  ladder.step("granularity", () => api.cuMemGetAllocationGranularity(granularity, properties, 0), told);
  ladder.step("recommended granularity", () => api.cuMemGetAllocationGranularity(granularity, properties, 1), told);
  const where = (): string => `wanted 0x${ARENA_BASE.toString(16)}, given 0x${address[0]!.toString(16)}`;
  const reserve = (): number => api.cuMemAddressReserve(address, ARENA_STRIDE_BYTES, 0, ARENA_BASE, 0);
  // As many as a slice may grow to, which no card has memory for.
  const far = reserve();
  ladder.fact("a TiB of addresses", { note: far === 0 ? where() : `${far} ${errorName(api, far)}` });
  if (far === 0) api.cuMemAddressFree(address[0]!, ARENA_STRIDE_BYTES);
  const reserveAt = (hint: number): number => api.cuMemAddressReserve(address, byteCount, 0, hint, 0);
  if (!ladder.step("reserve addresses", () => reserveAt(ARENA_BASE), where))
    ladder.step("reserve addresses anywhere", () => reserveAt(0), where);
  const at = Number(address[0]);
  if (!ladder.step("create memory", () => api.cuMemCreate(handle, byteCount, properties, 0))) return undefined;
  ladder.step("map memory", () => api.cuMemMap(at, byteCount, 0, handle[0]!, 0));
  const granted = ladder.step("give access", () => api.cuMemSetAccess(at, byteCount, accessDescription(device), 1));
  return granted ? { address: at, byteCount, handle: handle[0]! } : undefined;
}

function useMemory(ladder: Ladder, { address, byteCount }: Space): void {
  const { api } = ladder.library;
  const synchronised = (result: number): number => (result === 0 ? api.cuCtxSynchronize() : result);
  const fill = (): number => synchronised(api.cuMemsetD32Async(address, 0, byteCount / 4, 0));
  ladder.step("fill memory, the first time", fill);
  ladder.step("fill memory", fill);
  ladder.gigabytesPerSecond("rate of filling", byteCount);
  const pinned = new BigUint64Array(1);
  if (ladder.step("allocate page-locked memory", () => api.cuMemHostAlloc(pinned, 64 * MiB, 0))) {
    for (const round of ["the first time", "again"]) {
      ladder.step(`copy 64 MiB to the device, ${round}`, () =>
        synchronised(api.cuMemcpyHtoDAsync_v2(address, pinned[0]!, 64 * MiB, 0)),
      );
      ladder.step(`copy 64 MiB from the device, ${round}`, () =>
        synchronised(api.cuMemcpyDtoHAsync_v2(pinned[0]!, address, 64 * MiB, 0)),
      );
    }
    ladder.step("free page-locked memory", () => api.cuMemFreeHost(pinned[0]!));
  }
  const file = StagingFile.create();
  if (file === undefined) ladder.fact("page-lock a shared file", { note: "the system has no such file" });
  else {
    const bytes = file.bytes;
    const [at, size] = [addressOf(bytes), bytes.byteLength];
    if (ladder.step("page-lock a shared file", () => api.cuMemHostRegister_v2(at, size, 0))) {
      const copy = (): number => synchronised(api.cuMemcpyHtoDAsync_v2(address, at, size, 0));
      ladder.step("copy from a shared file", copy);
      ladder.step("copy from a shared file again", copy);
      ladder.gigabytesPerSecond("rate of copying from a shared file", size);
      ladder.step("let go of a shared file", () => api.cuMemHostUnregister(at));
    }
    file.close();
  }
}

/** Arrays as the cuda device makes them: which flags go together, what the driver says that one takes, and copies both ways. */
function useArrays(ladder: Ladder, device: number, { address }: Space): void {
  const { api } = ladder.library;
  const [handle, told, object] = [new BigUint64Array(1), new BigUint64Array(4), new BigUint64Array(1)];
  const layout = {
    address,
    format: 32,
    channels: 1,
    width: 256,
    height: 256,
    rowBytes: 1024,
    planeBytes: 262_144,
  } as const;
  const { SURFACE_LDST, TEXTURE_GATHER, LAYERED, DEFERRED_MAPPING } = ArrayFlag;
  const kinds = [
    ["a plane", { depth: 0, layers: 0 }, SURFACE_LDST | TEXTURE_GATHER],
    ["a volume", { depth: 4, layers: 0 }, SURFACE_LDST],
    ["layers", { depth: 0, layers: 4 }, SURFACE_LDST | LAYERED],
  ] as const;
  for (const [name, sizes, flags] of kinds) {
    const levels = [{ ...layout, ...sizes }];
    const shape = { levels, isCube: false, hasCubeLayers: false, storesParts: false, isSurface: true };
    const make = (chosen: number) => (): number => api.cuArray3DCreate_v2(handle, describeArray(shape, chosen));
    if (ladder.step(`make an array to be mapped later, ${name}`, make(flags | DEFERRED_MAPPING))) {
      const ask = (): number => api.cuArrayGetMemoryRequirements(told, handle[0]!, device);
      ladder.step("ask what it takes", ask, () => `${told[0]} bytes, at multiples of ${told[1]}`);
      ladder.step("destroy it", () => api.cuArrayDestroy(handle[0]!));
    }
    if (!ladder.step(`make an array, ${name}`, make(flags))) continue;
    const planes = Math.max(1, sizes.depth + sizes.layers);
    const box = { x: 0, y: 0, z: 0, widthBytes: 1024, height: 256, depth: planes, offset: 0, isRounded: false };
    for (const isInto of [true, false]) {
      const copy = describeCopy(box, { layout: levels[0]!, array: handle[0]!, isInto });
      ladder.step(
        isInto ? "copy into it" : "copy out of it",
        () => api.cuMemcpy3DAsync_v2(copy, 0) || api.cuCtxSynchronize(),
      );
    }
    const resource = describeArrayResource({ isMipmapped: false, handle: handle[0]! });
    if (
      ladder.step(
        "make a surface",
        () => api.cuSurfObjectCreate(object, resource),
        () => `${object[0]}`,
      )
    )
      ladder.step("destroy a surface", () => api.cuSurfObjectDestroy(object[0]!));
    ladder.step("destroy an array", () => api.cuArrayDestroy(handle[0]!));
  }
}

/** Two pieces side by side are one range to whoever uses it: on that a slice relies, whose memory comes in many. */
function usePieces(ladder: Ladder, device: number): void {
  const { api } = ladder.library;
  const granule = 2 * MiB;
  const [address, handle] = [new BigUint64Array(1), new BigUint64Array(1)];
  const hint = ARENA_BASE + ARENA_STRIDE_BYTES;
  if (!ladder.step("reserve addresses for two pieces", () => api.cuMemAddressReserve(address, 2 * granule, 0, hint, 0)))
    return;
  const base = Number(address[0]);
  for (const at of [base, base + granule]) {
    const place = (): number =>
      api.cuMemCreate(handle, granule, allocationProperties(device), 0) ||
      api.cuMemMap(at, granule, 0, handle[0]!, 0) ||
      api.cuMemSetAccess(at, granule, accessDescription(device), 1) ||
      api.cuMemRelease(handle[0]!);
    if (!ladder.step("map a piece", place)) return;
  }
  const half = granule / 2;
  const within = base + half;
  const bytes = Uint8Array.from({ length: granule }, (_, index) => (index * 2_654_435_761) >>> 24);
  const found = new Uint8Array(granule);
  const waited = (result: number): number => result || api.cuCtxSynchronize();
  ladder.step("fill across two pieces", () => waited(api.cuMemsetD32Async(base, 0xa5a5_a5a5, granule / 2, 0)));
  const [from, to] = [addressOf(bytes), addressOf(found)];
  ladder.step("copy to the device across two pieces", () => waited(api.cuMemcpyHtoDAsync_v2(within, from, granule, 0)));
  // Overlapping by nothing: what is behind the border goes to the beginning.
  const onDevice = (): number => waited(api.cuMemcpyDtoDAsync_v2(base, base + granule, half, 0));
  ladder.step("copy from piece to piece", onDevice);
  ladder.step("copy from the device across two pieces", () => waited(api.cuMemcpyDtoHAsync_v2(to, within, granule, 0)));
  const isSame = Buffer.compare(bytes, found) === 0;
  ladder.add({ group, name: "bytes across two pieces are as they were written", ok: isSame });
  const texture = new BigUint64Array(1);
  const layout = { address: within, format: 32, channels: 1, width: granule / 4, height: 0, depth: 0 } as const;
  const resource = describeMemory({ resource: "linear", layout: { ...layout, layers: 0, rowBytes: 0, planeBytes: 0 } });
  const result = api.cuTexObjectCreate(texture, resource, new Uint8Array(104), null);
  ladder.fact("a texture across two pieces", {
    note: result === 0 ? "can be made" : `${result} ${errorName(api, result)}`,
  });
  if (result === 0) api.cuTexObjectDestroy(texture[0]!);
  for (const at of [base, base + granule]) ladder.step("unmap a piece", () => api.cuMemUnmap(at, granule));
  ladder.step("free the addresses of two pieces", () => api.cuMemAddressFree(base, 2 * granule));
}

const freeBytes = ({ library: { api } }: Ladder): number => {
  const [left, total] = [new BigUint64Array(1), new BigUint64Array(1)];
  return api.cuMemGetInfo_v2(left, total) === 0 ? Number(left[0]) : Number.NaN;
};

/** What the driver takes for the local memory of all threads, within and beyond what a context is said to come with. */
function useLocalMemory(ladder: Ladder): void {
  const { api } = ladder.library;
  for (const bytes of [512, 4096]) {
    const [module, functions] = [new BigUint64Array(1), new BigUint64Array(1)];
    const load = (): number =>
      api.cuModuleLoadDataEx(module, Buffer.from(`${localKernel(bytes)}\0`), 0, null, null) ||
      api.cuModuleEnumerateFunctions(functions, 1, module[0]!) ||
      api.cuFuncLoad(functions[0]!);
    if (!ladder.step(`load a kernel with ${bytes} bytes of local memory`, load)) continue;
    const before = freeBytes(ladder);
    const run = (): number =>
      api.cuLaunchKernel(functions[0]!, 1, 1, 1, 32, 1, 1, 0, 0, null, null) || api.cuCtxSynchronize();
    ladder.step("run it", run);
    ladder.fact(`memory that its threads take`, { unit: "B", value: before - freeBytes(ladder) });
    ladder.step("unload it", () => api.cuModuleUnload(module[0]!));
  }
}

const LARGE_STACK_BYTES = 8192;

/** What the driver takes when threads have at once what a stack limit says, and whether lowering it gives that back. */
function useStackLimit(ladder: Ladder, threads: number): void {
  const { api } = ladder.library;
  if (threads * LARGE_STACK_BYTES > freeBytes(ladder) / 2) {
    const note = `[${threads}] threads with [${LARGE_STACK_BYTES}] bytes each are too much for what is free`;
    ladder.add({ group, name: "stack limits", isSkipped: true, note });
    return;
  }
  for (const [bytes, what] of [
    [1024, "gives back"],
    [LARGE_STACK_BYTES, "takes"],
    [1024, "gives back"],
  ] as const) {
    const before = freeBytes(ladder);
    if (!ladder.step(`limit stacks to ${bytes} bytes`, () => api.cuCtxSetLimit(LIMIT_STACK_SIZE, bytes))) continue;
    const value = Math.abs(before - freeBytes(ladder));
    ladder.fact(`memory that a stack limit of ${bytes} bytes ${what}`, { unit: "B", value });
  }
}

/** What comes with the first module that prints, allocates and recurses, and with streams: a lease is charged for it beside its context. */
function useCompany(ladder: Ladder): void {
  const { api } = ladder.library;
  const taken = (name: string, before: number): void =>
    ladder.fact(`memory that ${name}`, { unit: "B", value: before - freeBytes(ladder) });
  const [module, functions, none] = [new BigUint64Array(1), new BigUint64Array(2), new BigUint64Array(2)];
  let before = freeBytes(ladder);
  const load = (): number =>
    api.cuModuleLoadDataEx(module, Buffer.from(`${trialKernel}\0`), 0, null, null) ||
    api.cuModuleEnumerateFunctions(functions, 2, module[0]!);
  if (ladder.step("load a module that prints, allocates and recurses", load)) {
    taken("a module takes that prints, allocates and recurses", before);
    before = freeBytes(ladder);
    for (const f of functions) {
      const pointer = new BigUint64Array(1);
      if (api.cuFuncGetName(pointer, f) !== 0 || textAt(pointer[0]!) !== "sluice_calls") continue;
      const size = BigUint64Array.of(8n);
      const { BUFFER_POINTER, BUFFER_SIZE, END } = LaunchParam;
      const [pointerKey, sizeKey, end] = [BUFFER_POINTER, BUFFER_SIZE, END].map(BigInt) as [bigint, bigint, bigint];
      const extra = BigUint64Array.of(pointerKey, addressOf(none), sizeKey, addressOf(size), end);
      ladder.step(
        "run it",
        () => api.cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, 0, null, extra) || api.cuCtxSynchronize(),
      );
    }
    taken("its first launch takes", before);
  }
  for (const count of [32, 256]) {
    before = freeBytes(ladder);
    const streams = new BigUint64Array(1);
    const make = (): number => {
      for (let made = 0; made < count; made++) {
        const result = api.cuStreamCreateWithPriority(streams, 1, 0);
        if (result !== 0) return result;
      }
      return 0;
    };
    if (ladder.step(`make ${count} streams`, make)) taken(`${count} streams take`, before);
  }
}

/** What a module takes of the card besides the arena: whether variables count at once, and how long a first compilation takes. */
function loadModules(ladder: Ladder): void {
  const { api } = ladder.library;
  const text = (source: string): Uint8Array => Buffer.from(`${source}\0`);
  for (const [name, source] of [
    ["the fixtures' PTX", Buffer.from(fixture("linear")).toString("utf8")],
    ["a variable of 128 MiB", largeVariable(128 * MiB)],
  ] as const) {
    const module = new BigUint64Array(1);
    const before = freeBytes(ladder);
    const load = (): number => api.cuModuleLoadDataEx(module, text(source), 0, null, null);
    if (!ladder.step(`load ${name}`, load)) continue;
    ladder.fact(`memory that ${name} takes`, { unit: "B", value: before - freeBytes(ladder) });
    const count = new Uint32Array(1);
    ladder.step(
      "count kernels",
      () => api.cuModuleGetFunctionCount(count, module[0]!),
      () => `${count[0]}`,
    );
    const functions = new BigUint64Array(Math.max(1, count[0]!));
    ladder.step("list kernels", () => api.cuModuleEnumerateFunctions(functions, count[0]!, module[0]!));
    ladder.step("load a kernel", () => api.cuFuncLoad(functions[0]!));
    const [offset, size] = [new BigUint64Array(1), new BigUint64Array(1)];
    const result = api.cuFuncGetParamInfo(functions[0]!, 100, offset, size);
    ladder.fact("what the driver says of a parameter that is not there", {
      note: `${result} ${errorName(api, result)}`,
    });
    ladder.step("unload a module", () => api.cuModuleUnload(module[0]!));
  }
}

/** All of it, from the driver's start to its end. Leaves a context behind that ends with the process. */
export function climb({ id }: DeviceDescription, listener: Listener): void {
  const started = performance.now();
  const library = loadCuda();
  const ladder = new Ladder(library, listener);
  ladder.fact("start of the driver", { unit: "ms", value: performance.now() - started });
  const { api } = library;
  const device = listOrdinals(library)[Number(id.split(":")[1])]!;
  const { MULTIPROCESSOR_COUNT, MAX_THREADS_PER_MULTIPROCESSOR } = DeviceAttributeNumber;
  const attribute = (number: number): number => readAttribute(api, device, number);
  const [context, left, total] = [new BigUint64Array(1), new BigUint64Array(1), new BigUint64Array(1)];
  ladder.step("set the context's flags", () => api.cuDevicePrimaryCtxSetFlags_v2(device, 4));
  if (!ladder.step("make a context", () => api.cuDevicePrimaryCtxRetain(context, device))) return;
  ladder.step("make it current", () => api.cuCtxSetCurrent(context[0]!));
  const memory = (): string => `${left[0]} of ${total[0]} bytes are free`;
  ladder.step("ask for free memory", () => api.cuMemGetInfo_v2(left, total), memory);
  for (const limit of [0, 1, 2]) {
    ladder.step(
      `limit ${limit}`,
      () => api.cuCtxGetLimit(total, limit),
      () => `${total[0]} bytes`,
    );
  }
  const byteCount = Number(left[0]) > 4 * GiB ? 2 * GiB : 128 * MiB;
  const space = mapMemory(ladder, device, byteCount);
  if (space !== undefined) useMemory(ladder, space);
  if (space !== undefined) useArrays(ladder, device, space);
  usePieces(ladder, device);
  loadModules(ladder);
  loadManyKernels(ladder);
  useLocalMemory(ladder);
  useStackLimit(ladder, attribute(MULTIPROCESSOR_COUNT) * attribute(MAX_THREADS_PER_MULTIPROCESSOR));
  useCompany(ladder);
  if (space !== undefined) {
    ladder.step("unmap memory", () => api.cuMemUnmap(space.address, byteCount));
    ladder.step("release memory", () => api.cuMemRelease(space.handle));
    ladder.step("free addresses", () => api.cuMemAddressFree(space.address, byteCount));
  }
}
