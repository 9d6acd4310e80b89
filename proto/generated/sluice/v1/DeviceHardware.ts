// Original file: proto/sluice/v1/pool.proto

import type { DeviceLink as _sluice_v1_DeviceLink, DeviceLink__Output as _sluice_v1_DeviceLink__Output } from '../../sluice/v1/DeviceLink.ts';

/**
 * What does not change about a device's hardware. A text that the driver does not tell is empty.
 */
export interface DeviceHardware {
  /**
   * The vendor's unique id, such as `GPU-5e1f...`.
   */
  'uuid'?: (string);
  /**
   * PCI address as `0000:3b:00.0`.
   */
  'pciAddress'?: (string);
  /**
   * Version of the driver, such as `580.65.06`.
   */
  'driverVersion'?: (string);
  /**
   * CUDA version of the driver, such as `13.0`.
   */
  'cudaVersion'?: (string);
  /**
   * Number of multiprocessors.
   */
  'multiprocessors'?: (number);
  /**
   * `enabled`, `disabled` or `unsupported`: the device cut into instances by its admin.
   */
  'mig'?: (string);
  /**
   * `enabled`, `disabled` or `unsupported`: whether memory errors are corrected.
   */
  'ecc'?: (string);
  /**
   * Devices of the server that it is joined to by NVLink: one row of the link matrix.
   */
  'links'?: (_sluice_v1_DeviceLink)[];
}

/**
 * What does not change about a device's hardware. A text that the driver does not tell is empty.
 */
export interface DeviceHardware__Output {
  /**
   * The vendor's unique id, such as `GPU-5e1f...`.
   */
  'uuid': (string);
  /**
   * PCI address as `0000:3b:00.0`.
   */
  'pciAddress': (string);
  /**
   * Version of the driver, such as `580.65.06`.
   */
  'driverVersion': (string);
  /**
   * CUDA version of the driver, such as `13.0`.
   */
  'cudaVersion': (string);
  /**
   * Number of multiprocessors.
   */
  'multiprocessors': (number);
  /**
   * `enabled`, `disabled` or `unsupported`: the device cut into instances by its admin.
   */
  'mig': (string);
  /**
   * `enabled`, `disabled` or `unsupported`: whether memory errors are corrected.
   */
  'ecc': (string);
  /**
   * Devices of the server that it is joined to by NVLink: one row of the link matrix.
   */
  'links': (_sluice_v1_DeviceLink__Output)[];
}
