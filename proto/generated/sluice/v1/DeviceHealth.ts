// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * How a device is, as last asked. A number that its hardware does not tell is not set.
 */
export interface DeviceHealth {
  /**
   * Empty for a healthy device, else what is wrong with it, one sentence each.
   */
  'problems'?: (string)[];
  /**
   * What slows it down now: `power cap`, `hardware slowdown`, `software thermal slowdown`, `hardware thermal slowdown`,
   * `hardware power brake`.
   */
  'throttling'?: (string)[];
  /**
   * Temperature of the chip in degrees Celsius.
   */
  'temperatureCelsius'?: (number);
  /**
   * Power that it draws in watts.
   */
  'powerWatts'?: (number | string);
  /**
   * Part of the last second in which a kernel ran, 0 to 1.
   */
  'utilization'?: (number | string);
  /**
   * Memory in use on the device by anybody, in bytes.
   */
  'memoryUsedBytes'?: (number | string | Long);
  /**
   * Memory errors that could not be corrected, since the driver was loaded.
   */
  'uncorrectedErrors'?: (number | string | Long);
  /**
   * When it was asked.
   */
  'checkedAtMs'?: (number | string | Long);
  '_temperatureCelsius'?: "temperatureCelsius";
  '_powerWatts'?: "powerWatts";
  '_utilization'?: "utilization";
  '_memoryUsedBytes'?: "memoryUsedBytes";
  '_uncorrectedErrors'?: "uncorrectedErrors";
}

/**
 * How a device is, as last asked. A number that its hardware does not tell is not set.
 */
export interface DeviceHealth__Output {
  /**
   * Empty for a healthy device, else what is wrong with it, one sentence each.
   */
  'problems': (string)[];
  /**
   * What slows it down now: `power cap`, `hardware slowdown`, `software thermal slowdown`, `hardware thermal slowdown`,
   * `hardware power brake`.
   */
  'throttling': (string)[];
  /**
   * Temperature of the chip in degrees Celsius.
   */
  'temperatureCelsius'?: (number);
  /**
   * Power that it draws in watts.
   */
  'powerWatts'?: (number);
  /**
   * Part of the last second in which a kernel ran, 0 to 1.
   */
  'utilization'?: (number);
  /**
   * Memory in use on the device by anybody, in bytes.
   */
  'memoryUsedBytes'?: (number);
  /**
   * Memory errors that could not be corrected, since the driver was loaded.
   */
  'uncorrectedErrors'?: (number);
  /**
   * When it was asked.
   */
  'checkedAtMs': (number);
  '_temperatureCelsius'?: "temperatureCelsius";
  '_powerWatts'?: "powerWatts";
  '_utilization'?: "utilization";
  '_memoryUsedBytes'?: "memoryUsedBytes";
  '_uncorrectedErrors'?: "uncorrectedErrors";
}
