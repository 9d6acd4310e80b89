/** The kinds of devices there are. Each is loaded when first needed, by the daemon to find devices and by executors to open them. */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { DeviceDescription, DeviceDriver } from "../device/device.ts";

const loaders: Partial<Record<DeviceDescription["kind"], () => Promise<DeviceDriver>>> = {
  cpu: async () => (await import("../device/cpu/driver.ts")).cpuDriver,
  cuda: async () => (await import("../device/cuda/driver.ts")).cudaDriver,
  null: async () => (await import("../device/null/driver.ts")).nullDriver,
};

/** @throws SluiceError BAD_ARGUMENT for a kind that this version does not have. */
export function loadDriver(kind: string): Promise<DeviceDriver> {
  const load = Object.hasOwn(loaders, kind) ? loaders[kind as DeviceDescription["kind"]] : undefined;
  if (load === undefined) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The device kind [${kind}] is not one of those that this version has [${Object.keys(loaders).join(", ")}].`,
    );
  }
  return load();
}

/** What `auto` stands for: every CUDA device where the driver shows one, else one cpu device. `tell` hears why it is the latter. */
async function automaticSpec(tell: (why: string) => void): Promise<string> {
  try {
    const driver = await loadDriver("cuda");
    await driver.discover("");
    return "cuda";
  } catch (error) {
    tell(toSluiceError(error).message);
    return "cpu";
  }
}

/** A device, and the place of the SPEC that names it. */
export interface FoundDevice {
  readonly device: DeviceDescription;
  readonly specIndex: number;
}

/** What the admin should know about devices that are not there. */
export interface MissingDevices {
  /** Why there is no GPU, where `auto` means a cpu device for want of one. */
  readonly tell: (why: string) => void;
  /** Why a SPEC has no devices, where others have. */
  readonly skip: (spec: string, why: string) => void;
  /** What is to be known of devices that are there, in sentences. */
  readonly remark: (sentence: string) => void;
}

/**
 * All devices for the SPECs of `--device`, such as `auto`, `cuda:0`, `cpu:4x2GiB` or `null:2x16GiB`. A device keeps the id that its driver
 * gives it unless an earlier SPEC has taken it; then it gets the next free number. A SPEC whose devices cannot be used (no driver, an old
 * one, no permission) is left out as long as another has some.
 * @throws SluiceError BAD_ARGUMENT, or DEVICE_FAILED when no SPEC has a device
 */
export async function discoverDevices(
  specs: readonly string[],
  { tell, skip, remark }: MissingDevices,
): Promise<FoundDevice[]> {
  const devices = new Map<string, FoundDevice>();
  const failures: { readonly text: string; readonly error: SluiceError }[] = [];
  const discover = async (driver: DeviceDriver, spec: string, text: string): Promise<DeviceDescription[]> => {
    try {
      return await driver.discover(spec, remark);
    } catch (cause) {
      const error = toSluiceError(cause);
      if (error.code !== "DEVICE_FAILED") throw error;
      failures.push({ text, error });
      return [];
    }
  };
  for (const [specIndex, given] of specs.entries()) {
    const text = given === "auto" ? await automaticSpec(tell) : given;
    const [, kind = "", spec = ""] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
    const driver = await loadDriver(kind);
    for (const device of await discover(driver, spec, text)) {
      let { id } = device;
      for (let index = 0; devices.has(id); index++) id = `${kind}:${index}`;
      devices.set(id, { device: { ...device, id }, specIndex });
    }
  }
  const [first] = failures;
  if (first !== undefined && devices.size === 0) throw first.error;
  for (const { text, error } of failures) skip(text, error.message);
  return [...devices.values()];
}
