/** The calls about programs: images, modules and launches; see proto/calls.ts. */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type {
  ImageWriteCall,
  KernelInfo,
  LaunchCall,
  LaunchCooperativeCall,
  ModuleLoadAnswer,
  ModuleLoadCachedAnswer,
  ModuleLoadCachedCall,
  ModuleLoadCall,
  ModuleUnloadCall,
} from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX, FRAME_BYTES_MAX, IMAGE_BYTES_MAX, MODULE_BYTES_MAX } from "../../shared/limits.ts";
import type { DeviceModule } from "../device/device.ts";
import { checkedHashes } from "./cache-calls.ts";
import type { LoadedModule, OpenSlice, Workspace } from "./workspace.ts";

/** What fits into one answer with room for the frame around it; names count three bytes per character. */
const DESCRIPTION_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024;

export function imageWrite(work: Workspace, call: ImageWriteCall): void {
  work.images.write(call);
}

export function moduleLoad(work: Workspace, call: ModuleLoadCall): ModuleLoadAnswer | Promise<ModuleLoadAnswer> {
  work.modules.claim(call.module);
  return load(work, call, work.images.take(call.image));
}

export async function moduleLoadCached(work: Workspace, call: ModuleLoadCachedCall): Promise<ModuleLoadCachedAnswer> {
  if (call.image !== 0) {
    work.modules.claim(call.module);
    const image = work.images.take(call.image);
    try {
      const loaded = await load(work, call, image);
      await keepImage(work, image);
      return { held: 1, ...loaded };
    } catch (error) {
      // It is asked for again, and need not travel again, where it may have the slice's end.
      if (call.leavesEnd === 1 && toSluiceError(error).code === "OUT_OF_MEMORY") await keepImage(work, image);
      throw error;
    }
  }
  const image = await cachedImage(work, call);
  if (image === undefined) return { held: 0, kernels: [], globals: [], reservedBytes: 0 };
  work.modules.claim(call.module);
  return { held: 1, ...(await load(work, call, image)) };
}

/** Only images that a device took, or may yet take, are worth keeping. */
async function keepImage({ cache }: Workspace, image: Uint8Array): Promise<void> {
  for (let at = 0; at < image.byteLength; at += CALL_DATA_BYTES_MAX) {
    await cache?.keep(image.subarray(at, at + CALL_DATA_BYTES_MAX));
  }
}

async function cachedImage({ cache }: Workspace, call: ModuleLoadCachedCall): Promise<Uint8Array | undefined> {
  const { totalBytes } = call;
  const hashes = checkedHashes(call, totalBytes, IMAGE_BYTES_MAX / CALL_DATA_BYTES_MAX);
  if (cache === undefined) return undefined;
  const image = new Uint8Array(totalBytes);
  for (const [index, hash] of hashes.entries()) {
    const at = index * CALL_DATA_BYTES_MAX;
    if (!(await cache.readInto(hash, image.subarray(at, at + CALL_DATA_BYTES_MAX)))) return undefined;
  }
  return image;
}

function load(
  work: Workspace,
  call: { readonly module: number; readonly device: number; readonly leavesEnd: number },
  image: Uint8Array,
): ModuleLoadAnswer | Promise<ModuleLoadAnswer> {
  const slice = work.slice(call.device);
  const keep = moduleKeeper(work, { module: call.module, slice, imageBytes: image.byteLength });
  const loading = slice.device.loadModule(image, { leavesEnd: call.leavesEnd === 1 });
  return loading instanceof Promise ? loading.then(keep) : keep(loading);
}

/**
 * Says now whether an image has room among the modules of the session; what it returns keeps the loaded module and describes it, or unloads it.
 * @throws SluiceError OUT_OF_MEMORY, and what it returns IMAGE_TOO_LARGE
 */
export function moduleKeeper(
  work: Workspace,
  { module: handle, slice, imageBytes }: { module: number; slice: OpenSlice; imageBytes: number },
): (module: DeviceModule) => ModuleLoadAnswer | Promise<never> {
  if (work.moduleBytes + imageBytes > MODULE_BYTES_MAX) {
    throw new SluiceError(
      "OUT_OF_MEMORY",
      `The modules of the session have [${work.moduleBytes}] bytes of [${MODULE_BYTES_MAX}]; an image of [${imageBytes}] does not fit.`,
    );
  }
  return (module) => {
    const refusal = descriptionObstacle(module);
    if (refusal !== undefined) return unloadRefused(slice, module, refusal);
    work.moduleBytes += imageBytes;
    for (const { address, byteCount } of module.globals) {
      if (byteCount > 0) slice.globals.add({ start: address, end: address + byteCount });
    }
    work.modules.set(handle, { slice, module, imageBytes });
    return { kernels: module.kernels, globals: module.globals, reservedBytes: slice.device.reservedBytes ?? 0 };
  };
}

/** Nobody has heard of it, so that it must leave nothing behind, of the slice's end either. */
async function unloadRefused({ device }: OpenSlice, module: DeviceModule, refusal: SluiceError): Promise<never> {
  await device.unloadModule(module, true);
  throw refusal;
}

/** The answer must fit into one frame. */
function descriptionObstacle(module: DeviceModule): SluiceError | undefined {
  const textBytes = (text: string): number => Buffer.byteLength(text) + 8;
  const kernelBytes = ({ name, params, refusal }: KernelInfo): number =>
    72 + textBytes(name) + textBytes(refusal) + params.length * 24;
  const bytes =
    module.kernels.reduce((sum, kernel) => sum + kernelBytes(kernel), 0) +
    module.globals.reduce((sum, { name }) => sum + 48 + textBytes(name), 0);
  if (bytes <= DESCRIPTION_BYTES_MAX) return undefined;
  return new SluiceError(
    "IMAGE_TOO_LARGE",
    `The module has [${module.kernels.length}] kernels, more than one answer can describe.`,
  );
}

export function moduleUnload(work: Workspace, call: ModuleUnloadCall): void | Promise<void> {
  const { slice, module, imageBytes } = work.modules.remove(call.module);
  work.moduleBytes -= imageBytes;
  for (const { address } of module.globals) slice.globals.remove(address);
  return slice.device.unloadModule(module);
}

/** @throws SluiceError NO_SUCH_HANDLE, NO_SUCH_KERNEL */
export function kernelOf(work: Workspace, call: Pick<LaunchCall, "module" | "kernel">): LoadedModule {
  const loaded = work.modules.get(call.module);
  const { kernels } = loaded.module;
  if (call.kernel < kernels.length) return loaded;
  throw new SluiceError(
    "NO_SUCH_KERNEL",
    `The module [${call.module}] has [${kernels.length}] kernels and none with index [${call.kernel}].`,
  );
}

export function launch(work: Workspace, call: LaunchCall): void | Promise<void> {
  return admit(work, call, false);
}

export function launchCooperative(work: Workspace, call: LaunchCooperativeCall): void | Promise<void> {
  return admit(work, call, true);
}

function admit(work: Workspace, call: LaunchCall, cooperative: boolean): void | Promise<void> {
  const { slice, module } = kernelOf(work, call);
  // Beside `multiply`, the one place where work is admitted to a device.
  return slice.device.launch({
    module,
    kernel: call.kernel,
    grid: [call.gridX, call.gridY, call.gridZ],
    block: [call.blockX, call.blockY, call.blockZ],
    sharedBytes: call.sharedBytes,
    params: call.params,
    stream: call.stream === 0 ? undefined : work.stream(call.stream, slice),
    cooperative,
  });
}
