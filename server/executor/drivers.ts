/** The kinds of devices there are. Each is loaded when first needed, by the daemon to find devices and by executors to open them. */
import { SluiceError } from "../../shared/errors.ts";
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

/**
 * All devices for the SPECs of `--device`, such as `cpu`, `cpu:4x2GiB` or `null:2x16GiB`. A device keeps the id that its driver
 * gives it unless an earlier SPEC has taken it; then it gets the next free number.
 * @throws SluiceError BAD_ARGUMENT
 */
export async function discoverDevices(specs: readonly string[]): Promise<DeviceDescription[]> {
  const devices = new Map<string, DeviceDescription>();
  for (const text of specs) {
    const [, kind = "", spec = ""] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
    const driver = await loadDriver(kind);
    for (const device of await driver.discover(spec)) {
      let { id } = device;
      for (let index = 0; devices.has(id); index++) id = `${kind}:${index}`;
      devices.set(id, { ...device, id });
    }
  }
  return [...devices.values()];
}
