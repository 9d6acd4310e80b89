// Original file: proto/sluice/v1/pool.proto

import type { SharingMode as _sluice_v1_SharingMode, SharingMode__Output as _sluice_v1_SharingMode__Output } from '../../sluice/v1/SharingMode.ts';
import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';
import type { DeviceHealth as _sluice_v1_DeviceHealth, DeviceHealth__Output as _sluice_v1_DeviceHealth__Output } from '../../sluice/v1/DeviceHealth.ts';
import type { DeviceHardware as _sluice_v1_DeviceHardware, DeviceHardware__Output as _sluice_v1_DeviceHardware__Output } from '../../sluice/v1/DeviceHardware.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * One device of the server.
 */
export interface Device {
  /**
   * Id within the server, such as `cpu:0`.
   */
  'id'?: (string);
  /**
   * `cpu`, `cuda` or `null`.
   */
  'kind'?: (string);
  /**
   * The device's name.
   */
  'name'?: (string);
  /**
   * Bytes that can be lent.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Bytes lent now, without overhead.
   */
  'grantedBytes'?: (number | string | Long);
  /**
   * Bytes charged as overhead now.
   */
  'overheadBytes'?: (number | string | Long);
  /**
   * Bytes free to lend: memory_bytes - granted_bytes - overhead_bytes - reserved_bytes.
   */
  'freeBytes'?: (number | string | Long);
  /**
   * Slices are whole multiples of this.
   */
  'granularityBytes'?: (number | string | Long);
  /**
   * Slices on it now.
   */
  'slices'?: (number);
  /**
   * Compute capability, such as `8.0`.
   */
  'capability'?: (string);
  /**
   * Overhead that one more lease would be charged.
   */
  'overheadPerLeaseBytes'?: (number | string | Long);
  /**
   * The largest slice of one lease.
   */
  'sliceBytesMax'?: (number | string | Long);
  /**
   * Which requests it serves.
   */
  'mode'?: (_sluice_v1_SharingMode);
  /**
   * Size of its fixed slices, overhead inside; 0 unless the mode is profile.
   */
  'profileBytes'?: (number | string | Long);
  /**
   * Its labels; filters ask about them as `label.KEY`.
   */
  'labels'?: ({[key: string]: string});
  /**
   * Keys of labels that keep away requests that do not tolerate them.
   */
  'taints'?: (string)[];
  /**
   * Set while nothing new is placed on it: DEVICE_CORDONED or DEVICE_UNHEALTHY, and why.
   */
  'cordon'?: (_sluice_v1_Reason | null);
  /**
   * How it is now; not set for devices without hardware of their own, and before it was asked first.
   */
  'health'?: (_sluice_v1_DeviceHealth | null);
  /**
   * What is fixed about its hardware; not set for devices that have none of their own.
   */
  'hardware'?: (_sluice_v1_DeviceHardware | null);
  /**
   * Whether `overhead_per_lease_bytes` is an estimate, because it could not be measured on the device.
   */
  'overheadEstimated'?: (boolean);
  /**
   * Whether it is being drained: its leases have notice to end, and it takes no new ones.
   */
  'draining'?: (boolean);
  /**
   * Bytes in reservations that no lease has now.
   */
  'reservedBytes'?: (number | string | Long);
  /**
   * Part of its time that is promised to nobody, 0 to 1.
   */
  'freeCompute'?: (number | string);
}

/**
 * One device of the server.
 */
export interface Device__Output {
  /**
   * Id within the server, such as `cpu:0`.
   */
  'id': (string);
  /**
   * `cpu`, `cuda` or `null`.
   */
  'kind': (string);
  /**
   * The device's name.
   */
  'name': (string);
  /**
   * Bytes that can be lent.
   */
  'memoryBytes': (number);
  /**
   * Bytes lent now, without overhead.
   */
  'grantedBytes': (number);
  /**
   * Bytes charged as overhead now.
   */
  'overheadBytes': (number);
  /**
   * Bytes free to lend: memory_bytes - granted_bytes - overhead_bytes - reserved_bytes.
   */
  'freeBytes': (number);
  /**
   * Slices are whole multiples of this.
   */
  'granularityBytes': (number);
  /**
   * Slices on it now.
   */
  'slices': (number);
  /**
   * Compute capability, such as `8.0`.
   */
  'capability': (string);
  /**
   * Overhead that one more lease would be charged.
   */
  'overheadPerLeaseBytes': (number);
  /**
   * The largest slice of one lease.
   */
  'sliceBytesMax': (number);
  /**
   * Which requests it serves.
   */
  'mode': (_sluice_v1_SharingMode__Output);
  /**
   * Size of its fixed slices, overhead inside; 0 unless the mode is profile.
   */
  'profileBytes': (number);
  /**
   * Its labels; filters ask about them as `label.KEY`.
   */
  'labels': ({[key: string]: string});
  /**
   * Keys of labels that keep away requests that do not tolerate them.
   */
  'taints': (string)[];
  /**
   * Set while nothing new is placed on it: DEVICE_CORDONED or DEVICE_UNHEALTHY, and why.
   */
  'cordon': (_sluice_v1_Reason__Output | null);
  /**
   * How it is now; not set for devices without hardware of their own, and before it was asked first.
   */
  'health': (_sluice_v1_DeviceHealth__Output | null);
  /**
   * What is fixed about its hardware; not set for devices that have none of their own.
   */
  'hardware': (_sluice_v1_DeviceHardware__Output | null);
  /**
   * Whether `overhead_per_lease_bytes` is an estimate, because it could not be measured on the device.
   */
  'overheadEstimated': (boolean);
  /**
   * Whether it is being drained: its leases have notice to end, and it takes no new ones.
   */
  'draining': (boolean);
  /**
   * Bytes in reservations that no lease has now.
   */
  'reservedBytes': (number);
  /**
   * Part of its time that is promised to nobody, 0 to 1.
   */
  'freeCompute': (number);
}
