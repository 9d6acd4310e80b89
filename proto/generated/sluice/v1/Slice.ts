// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * One slice of a device.
 */
export interface Slice {
  /**
   * Index within the lease, from 0: the `device` of the data plane's calls.
   */
  'index'?: (number);
  /**
   * The device's id.
   */
  'deviceId'?: (string);
  /**
   * Exact size in bytes.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Bytes charged beside it.
   */
  'overheadBytes'?: (number | string | Long);
  /**
   * Part of the device's time that is promised. 0: none.
   */
  'compute'?: (number | string);
}

/**
 * One slice of a device.
 */
export interface Slice__Output {
  /**
   * Index within the lease, from 0: the `device` of the data plane's calls.
   */
  'index': (number);
  /**
   * The device's id.
   */
  'deviceId': (string);
  /**
   * Exact size in bytes.
   */
  'memoryBytes': (number);
  /**
   * Bytes charged beside it.
   */
  'overheadBytes': (number);
  /**
   * Part of the device's time that is promised. 0: none.
   */
  'compute': (number);
}
