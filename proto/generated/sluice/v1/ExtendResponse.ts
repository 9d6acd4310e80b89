// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface ExtendResponse {
  /**
   * When the lease ends at the latest.
   */
  'endsAtMs'?: (number | string | Long);
}

export interface ExtendResponse__Output {
  /**
   * When the lease ends at the latest.
   */
  'endsAtMs': (number);
}
