// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface RevokeResponse {
  /**
   * When the lease ends at the latest.
   */
  'endsAtMs'?: (number | string | Long);
}

export interface RevokeResponse__Output {
  /**
   * When the lease ends at the latest.
   */
  'endsAtMs': (number);
}
