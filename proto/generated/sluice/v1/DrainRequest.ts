// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface DrainRequest {
  /**
   * The device's id.
   */
  'deviceId'?: (string);
  /**
   * How long its leases still have; at most 30 days.
   */
  'graceMs'?: (number | string | Long);
  /**
   * Why, for their holders and for those who wait; at most 128 characters. Default: that an admin empties the device.
   */
  'message'?: (string);
}

export interface DrainRequest__Output {
  /**
   * The device's id.
   */
  'deviceId': (string);
  /**
   * How long its leases still have; at most 30 days.
   */
  'graceMs': (number);
  /**
   * Why, for their holders and for those who wait; at most 128 characters. Default: that an admin empties the device.
   */
  'message': (string);
}
