/** The snapshot of a device's attributes that a client gets when it attaches: no later question about them needs a trip. Needs no context. */
import type { DeviceAttribute } from "../../../shared/generated/calls.ts";
import type { DeviceAttributes } from "../device.ts";
import { CUresult, DEVICE_ATTRIBUTE_MAX, DeviceAttributeNumber } from "./constants.ts";
import type { CudaApi, CudaLibrary } from "./library.ts";

/** One attribute, or 0 when the driver does not know it. */
export function readAttribute(api: CudaApi, device: number, attribute: number): number {
  const value = new Int32Array(1);
  return api.cuDeviceGetAttribute(value, attribute, device) === CUresult.SUCCESS ? value[0]! : 0;
}

/** What was read before somebody asked, by library and device. */
const prepared = new WeakMap<CudaLibrary, Map<number, DeviceAttributes>>();

/** Reads the snapshot of a device ahead, which takes some milliseconds on a virtual machine. */
export function prepareAttributes(library: CudaLibrary, device: number): void {
  const known = prepared.get(library) ?? new Map<number, DeviceAttributes>();
  known.set(device, readAttributes(library, device));
  prepared.set(library, known);
}

/** What was prepared, or else is read now. */
export const attributesOf = (library: CudaLibrary, device: number): DeviceAttributes =>
  prepared.get(library)?.get(device) ?? readAttributes(library, device);

/** All attributes that the driver knows. */
function readAttributes({ api, driverVersion }: CudaLibrary, device: number): DeviceAttributes {
  const value = new Int32Array(1);
  const attributes: DeviceAttribute[] = [];
  for (let attribute = 1; attribute <= DEVICE_ATTRIBUTE_MAX; attribute++) {
    if (api.cuDeviceGetAttribute(value, attribute, device) !== CUresult.SUCCESS) continue;
    attributes.push({ attribute, value: value[0]! });
  }
  return {
    capabilityMajor: readAttribute(api, device, DeviceAttributeNumber.COMPUTE_CAPABILITY_MAJOR),
    capabilityMinor: readAttribute(api, device, DeviceAttributeNumber.COMPUTE_CAPABILITY_MINOR),
    driverVersion,
    attributes,
  };
}
