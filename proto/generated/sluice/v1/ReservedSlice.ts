// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

/**
 * One fixed slice of a reservation.
 */
export interface ReservedSlice {
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
   * The lease that has it now; empty: none.
   */
  'leaseId'?: (string);
}

/**
 * One fixed slice of a reservation.
 */
export interface ReservedSlice__Output {
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
   * The lease that has it now; empty: none.
   */
  'leaseId': (string);
}
