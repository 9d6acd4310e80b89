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

/** All attributes that the driver knows. */
export function readAttributes({ api, driverVersion }: CudaLibrary, device: number): DeviceAttributes {
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
