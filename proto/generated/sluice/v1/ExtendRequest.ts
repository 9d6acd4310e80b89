// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface ExtendRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * How much later it ends; 1 or more, at most ten years.
   */
  'byMs'?: (number | string | Long);
}

export interface ExtendRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * How much later it ends; 1 or more, at most ten years.
   */
  'byMs': (number);
}
