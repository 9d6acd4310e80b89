// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface RevokeRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * How long the lease still has; at most 30 days. It never makes a lease longer.
   */
  'graceMs'?: (number | string | Long);
  /**
   * Why, for its holder; at most 128 characters. Default: that an admin takes it back.
   */
  'message'?: (string);
}

export interface RevokeRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * How long the lease still has; at most 30 days. It never makes a lease longer.
   */
  'graceMs': (number);
  /**
   * Why, for its holder; at most 128 characters. Default: that an admin takes it back.
   */
  'message': (string);
}
